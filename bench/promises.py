"""What the answers must keep to, and whether they did."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.report import markdown


@dataclass(frozen=True, slots=True)
class Promise:
    """One bound: what was measured, and whether it is within."""

    what: str
    bound: str
    measured: str
    kept: bool


def at_most(what: str, measured: float, bound: float, unit: str) -> Promise:
    """*measured* must not be above *bound*."""
    return Promise(
        what, f"at most {bound:g}{unit}", f"{measured:.3g}{unit}", measured <= bound
    )


def at_least(what: str, measured: float, bound: float, unit: str) -> Promise:
    """*measured* must not be below *bound*."""
    return Promise(
        what, f"at least {bound:g}{unit}", f"{measured:.3g}{unit}", measured >= bound
    )


def table(kept: Iterable[Promise]) -> str:
    """A row per promise, as Markdown."""
    return markdown(
        ["promise", "bound", "measured", "kept"],
        (
            [one.what, one.bound, one.measured, "yes" if one.kept else "**no**"]
            for one in kept
        ),
    )
