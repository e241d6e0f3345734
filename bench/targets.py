"""Performance targets, and whether they were met."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.report import markdown


@dataclass(frozen=True, slots=True)
class Target:
    """One bound, the measured figure as text, and whether it is within the bound."""

    name: str
    bound: str
    measured: str
    met: bool


def at_most(name: str, measured: float, bound: float, unit: str) -> Target:
    """Target that *measured* must not exceed *bound*."""
    return Target(
        name, f"at most {bound:g}{unit}", f"{measured:.3g}{unit}", measured <= bound
    )


def at_least(name: str, measured: float, bound: float, unit: str) -> Target:
    """Target that *measured* must not be below *bound*."""
    return Target(
        name, f"at least {bound:g}{unit}", f"{measured:.3g}{unit}", measured >= bound
    )


def table(targets: Iterable[Target]) -> str:
    """A Markdown table with one row per target."""
    return markdown(
        ["target", "bound", "measured", "met"],
        (
            [one.name, one.bound, one.measured, "yes" if one.met else "**no**"]
            for one in targets
        ),
    )
