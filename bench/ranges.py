"""Ranges: what all of `GET /` costs about a few days, hstack all there are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import promises, report
from bench.cases import ALL, asked
from bench.data import made
from bench.promises import Promise
from bench.worker import STRETCHES, Timing, timings

SECONDS = 3.0

WEEK = "last 7 days"
WEEK_AT_MOST = {100.0: 0.1}
"""Scale -> the share of the whole that WEEK may cost; fixed costs are more of a little."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """One scale: how long each of STRETCHES took, and "ours", which is everything."""

    scale: float
    timings: Mapping[str, Timing]


def measure(scale: float) -> Ranges:
    """Everything and every stretch, with the engines that the API chooses."""
    asked_for = asked(made(scale))
    report.progress(f"timing ranges at scale {scale:g}")
    names = ("ours", *STRETCHES)
    return Ranges(scale, timings(names, asked_for, ALL, SECONDS))


def tables(measured: Ranges) -> Iterator[str]:
    """The figures of one scale, as Markdown."""
    yield (
        f"Milliseconds for all of `GET /` at scale {measured.scale:g} (median), of "
        "processor time, and its share of the whole's:"
    )
    yield report.markdown(
        ["days", "ms", "processor ms", "share"],
        (
            [
                "all" if name == "ours" else name,
                report.milliseconds(timing.median),
                report.milliseconds(timing.median_cpu),
                f"{_share(measured, name):.3f}",
            ]
            for name, timing in measured.timings.items()
        ),
    )


def _share(measured: Ranges, name: str) -> float:
    whole = measured.timings["ours"]
    return measured.timings[name].median_cpu / whole.median_cpu


def kept(measured: Ranges) -> Iterator[Promise]:
    """The promises about one scale."""
    if bound := WEEK_AT_MOST.get(measured.scale):
        yield promises.at_most(
            f"{WEEK} ÷ all days, processor time, at scale {measured.scale:g}",
            _share(measured, WEEK),
            bound,
            "",
        )
