"""Ranges: the cost of all of `GET /` for a few days, compared with all days."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import report, targets
from bench.cases import ALL, dataset
from bench.data import sample_dir
from bench.targets import Target
from bench.worker import RANGES, Timing, timings

SECONDS = 3.0

WEEK = "last 7 days"
WEEK_AT_MOST = {100.0: 0.1}
"""Scale -> upper bound of WEEK's share. None at scale 1, where fixed costs dominate."""


@dataclass(frozen=True, slots=True)
class RangeTimings:
    """One scale: timings of each of RANGES, and of "ours", which is all days."""

    scale: float
    timings: Mapping[str, Timing]


def measure(scale: float) -> RangeTimings:
    """Time all days and each of RANGES, with the engines that the API chooses."""
    data = dataset(sample_dir(scale))
    report.progress(f"timing ranges at scale {scale:g}")
    names = ("ours", *RANGES)
    return RangeTimings(scale, timings(names, data, ALL, SECONDS))


def tables(measured: RangeTimings) -> Iterator[str]:
    """The figures of one scale as Markdown."""
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


def _share(measured: RangeTimings, name: str) -> float:
    whole = measured.timings["ours"]
    return measured.timings[name].median_cpu / whole.median_cpu


def check_targets(measured: RangeTimings) -> Iterator[Target]:
    """The targets for one scale."""
    if bound := WEEK_AT_MOST.get(measured.scale):
        yield targets.at_most(
            f"{WEEK} ÷ all days, processor time, at scale {measured.scale:g}",
            _share(measured, WEEK),
            bound,
            "",
        )
