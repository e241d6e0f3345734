"""Answers: every case by every engine, checked to be equal, then timed."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench import report, targets
from bench.cases import ALL, MODELS, SECTIONS, TITLES, Dataset, dataset
from bench.data import sample_dir, size
from bench.errors import BenchError
from bench.targets import Target
from bench.worker import Timing, answers, timings

ENGINES = ("ours", "DuckDB", "plain Polars", "decode")

SECONDS = 4.5
"""Measured time per case and engine."""

DECODE_FACTORS = {1.0: 3.0, 100.0: 2.5}
"""Scale -> upper bound of our time as a multiple of only decoding."""

DUCKDB_FACTORS = {1.0: 5.0, 100.0: 5.0}
"""Scale -> lower bound of DuckDB's time as a multiple of ours."""

PEAK_MEGABYTES = 1024
GROWTH_FACTOR = 3.0

type Timings = Mapping[str, Mapping[str, Timing]]
"""Case -> engine -> its timing."""


@dataclass(frozen=True, slots=True)
class AnswerTimings:
    """All timings at one scale."""

    scale: float
    rows: int
    bytes: int
    timings: Timings


def check(
    engines: Iterable[str], data: Dataset, cases: Collection[str] = MODELS.keys()
) -> None:
    """Compute *cases* by every engine. Raises BenchError at the first difference."""
    first, *others = engines
    expected = answers(first, data, cases)
    for other in others:
        for case, text in answers(other, data, cases).items():
            if text != expected[case]:
                raise BenchError(
                    f"{other} and {first} differ in {case}:\n"
                    f"  {_difference(expected[case], text)}"
                )


def _difference(expected: str, other: str) -> str:
    """Both texts around their first difference, one per line."""
    pairs = enumerate(zip(expected, other, strict=False))
    length = min(len(expected), len(other))
    start = next((i for i, (a, b) in pairs if a != b), length)
    around = slice(max(start - 60, 0), start + 60)
    return f"{expected[around]!r}\n  {other[around]!r}"


def measure(scale: float) -> AnswerTimings:
    """Check, then time, every engine at *scale*."""
    data = dataset(sample_dir(scale))
    report.progress(f"comparing the answers at scale {scale:g}")
    check((name for name in ENGINES if name != "decode"), data)
    by_case = {case: _timed(case, data, scale) for case in MODELS}
    return AnswerTimings(scale, *size(data.data_dir), by_case)


def _timed(case: str, data: Dataset, scale: float) -> dict[str, Timing]:
    report.progress(f"timing {case} at scale {scale:g}")
    return timings(ENGINES, data, case, SECONDS)


def tables(measured: AnswerTimings) -> Iterator[str]:
    """The figures of one scale as Markdown."""
    yield (
        f"### Scale {measured.scale:g}: {measured.rows:,} rows, "
        f"{report.megabytes(measured.bytes)} MB of Parquet"
    )
    runs = [timing.runs for by in measured.timings.values() for timing in by.values()]
    yield (
        "Milliseconds from the query to Python objects: the median (and the best) of "
        f"{min(runs)} to {max(runs)} runs; engines take turns, and warm up before each."
    )
    yield report.markdown(
        [
            "",
            "ours",
            "DuckDB",
            "plain Polars",
            "only decoding",
            "DuckDB ÷ ours",
            "ours ÷ decoding",
        ],
        (_times(case, by) for case, by in measured.timings.items()),
    )
    yield "Milliseconds of processor time (median) and megabytes of memory (peak):"
    yield report.markdown(
        [
            "",
            *(f"{name} ms" for name in ENGINES),
            *(f"{name} MB" for name in ENGINES),
        ],
        (_costs(case, by) for case, by in measured.timings.items()),
    )


def _times(case: str, by: Mapping[str, Timing]) -> list[str]:
    ours, duckdb, decode = by["ours"], by["DuckDB"], by["decode"]
    return [
        TITLES.get(case, case),
        *(
            f"{report.milliseconds(by[name].median)} ({report.milliseconds(by[name].best)})"
            for name in ENGINES
        ),
        f"{duckdb.median / ours.median:.1f}",
        f"{ours.median / decode.median:.1f}",
    ]


def _costs(case: str, by: Mapping[str, Timing]) -> list[str]:
    return [
        TITLES.get(case, case),
        *(report.milliseconds(by[name].median_cpu) for name in ENGINES),
        *(report.megabytes(by[name].peak_bytes) for name in ENGINES),
    ]


def check_targets(measured: AnswerTimings) -> Iterator[Target]:
    """The targets for one scale."""
    scale = f"at scale {measured.scale:g}"
    whole = measured.timings[ALL]
    ours, duckdb, decode = (whole[name] for name in ("ours", "DuckDB", "decode"))
    if factor := DUCKDB_FACTORS.get(measured.scale):
        yield targets.at_least(
            f"DuckDB ÷ ours, all of `GET /`, {scale}",
            duckdb.median / ours.median,
            factor,
            "",
        )
    yield from (_no_slower(case, measured) for case in MODELS if case != ALL)
    if factor := DECODE_FACTORS.get(measured.scale):
        yield targets.at_most(
            f"ours ÷ decoding, all of `GET /`, {scale}",
            ours.median / decode.median,
            factor,
            "",
        )
    yield targets.at_most(
        f"peak memory, all of `GET /`, {scale}",
        ours.peak_bytes / 2**20,
        PEAK_MEGABYTES,
        " MB",
    )


def _no_slower(case: str, measured: AnswerTimings) -> Target:
    by = measured.timings[case]
    return targets.at_least(
        f"DuckDB ÷ ours, {TITLES.get(case, case)}, at scale {measured.scale:g}",
        by["DuckDB"].median / by["ours"].median,
        1,
        "",
    )


def check_growth(small: AnswerTimings, large: AnswerTimings) -> Iterator[Target]:
    """The targets for cases whose time must hardly grow with the data."""
    for case in MODELS.keys() - SECTIONS - {ALL}:
        before, after = (one.timings[case]["ours"] for one in (small, large))
        yield targets.at_most(
            f"{TITLES[case]}, scale {large.scale:g} ÷ scale {small.scale:g}",
            after.median / before.median,
            GROWTH_FACTOR,
            "",
        )
