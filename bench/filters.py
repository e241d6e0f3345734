"""Filters: the cost of an answer with two filters, compared with all of `GET /`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench import report, targets
from bench.answers import check
from bench.cases import ALL, FILTERED_SECTIONS, dataset
from bench.data import sample_dir
from bench.targets import Target
from bench.worker import FILTERED, FILTERED_DUCK, TWO_KINDS, Timing, timings

SECONDS = 3.0

SHARE_AT_MOST = {100.0: 1.0}
"""Scale -> upper bound of the share of the whole. None at scale 1."""

DUCKDB_FACTOR: Final = 1.0

TITLES: Final = {
    "ours": "no filter",
    FILTERED: "country, device",
    TWO_KINDS: "country, source",
    FILTERED_DUCK: "country, device, by DuckDB",
}


@dataclass(frozen=True, slots=True)
class FilterTimings:
    """One scale: timings of each of TITLES."""

    scale: float
    timings: Mapping[str, Timing]


def measure(scale: float) -> FilterTimings:
    """Compare the filtered answers with DuckDB's, then time them."""
    data = dataset(sample_dir(scale))
    report.progress(f"comparing filtered answers at scale {scale:g}")
    check((FILTERED, FILTERED_DUCK), data, FILTERED_SECTIONS)
    report.progress(f"timing filters at scale {scale:g}")
    return FilterTimings(scale, timings(TITLES, data, ALL, SECONDS))


def tables(measured: FilterTimings) -> Iterator[str]:
    """The figures of one scale as Markdown."""
    yield (
        f"Milliseconds for all of `GET /` at scale {measured.scale:g} (median), of "
        "processor time, and its share of the answer without a filter:"
    )
    yield report.markdown(
        ["filter", "ms", "processor ms", "share"],
        (
            [
                title,
                report.milliseconds(measured.timings[name].median),
                report.milliseconds(measured.timings[name].median_cpu),
                f"{_share(measured, name):.3f}",
            ]
            for name, title in TITLES.items()
        ),
    )


def _share(measured: FilterTimings, name: str) -> float:
    return measured.timings[name].median_cpu / measured.timings["ours"].median_cpu


def check_targets(measured: FilterTimings) -> Iterator[Target]:
    """The targets for one scale."""
    if bound := SHARE_AT_MOST.get(measured.scale):
        for name in (FILTERED, TWO_KINDS):
            yield targets.at_most(
                f"two filters ({TITLES[name]}) ÷ no filter, processor time, "
                f"at scale {measured.scale:g}",
                _share(measured, name),
                bound,
                "",
            )
    duck, ours = (measured.timings[name] for name in (FILTERED_DUCK, FILTERED))
    yield targets.at_least(
        f"DuckDB ÷ ours, two filters, at scale {measured.scale:g}",
        duck.median / ours.median,
        DUCKDB_FACTOR,
        "",
    )
