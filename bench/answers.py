"""The answers: every statistic by every engine, checked equal, then timed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench import promises, report
from bench.cases import ALL, SECTIONS, SHAPES, TITLES, Asked, asked
from bench.data import made, size
from bench.errors import BenchError
from bench.promises import Promise
from bench.worker import Timing, answers, timings

COMPARED = ("ours", "DuckDB", "plain Polars", "decode")

SECONDS = 4.5
"""For the repetitions of one question by one engine."""

DECODE_FACTORS = {1.0: 6.0, 100.0: 4.0}
DUCKDB_FACTOR = 2.0
PEAK_MEGABYTES = 1024
GROWN_AT_MOST = 3.0

type Timings = Mapping[str, Mapping[str, Timing]]
"""Question -> engine -> its timing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All timings at one scale."""

    scale: float
    rows: int
    bytes: int
    timings: Timings


def check(engines: Iterable[str], asked_for: Asked) -> None:
    """Ask every engine everything. Raises BenchError at the first difference."""
    first, *others = engines
    right = answers(first, asked_for)
    for other in others:
        for question, text in answers(other, asked_for).items():
            if text != right[question]:
                raise BenchError(
                    f"{other} answers {question} differently from {first}:\n"
                    f"  {_difference(right[question], text)}"
                )


def _difference(right: str, other: str) -> str:
    """Where two texts begin to differ, with a little around it."""
    pairs = enumerate(zip(right, other, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(right), len(other)))
    around = slice(max(start - 60, 0), start + 60)
    return f"{right[around]!r}\n  {other[around]!r}"


def measure(scale: float) -> Measured:
    """Check, then time, every engine at *scale*."""
    asked_for = asked(made(scale))
    report.progress(f"comparing the answers at scale {scale:g}")
    check((name for name in COMPARED if name != "decode"), asked_for)
    timed = {question: _timed(question, asked_for, scale) for question in SHAPES}
    return Measured(scale, *size(asked_for.data_dir), timed)


def _timed(question: str, asked_for: Asked, scale: float) -> dict[str, Timing]:
    report.progress(f"timing {question} at scale {scale:g}")
    return timings(COMPARED, asked_for, question, SECONDS)


def tables(measured: Measured) -> Iterator[str]:
    """The figures of one scale, as Markdown."""
    yield (
        f"### Scale {measured.scale:g}: {measured.rows:,} rows, "
        f"{report.megabytes(measured.bytes)} MB of Parquet"
    )
    runs = [timing.runs for by in measured.timings.values() for timing in by.values()]
    yield (
        "Milliseconds from the question to Python objects: the median (and the best) "
        f"of {min(runs)} to {max(runs)} runs; engines take turns, and warm up before each."
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
        (_times(name, by) for name, by in measured.timings.items()),
    )
    yield "Milliseconds of processor time (median) and megabytes of memory (peak):"
    yield report.markdown(
        [
            "",
            *(f"{name} ms" for name in COMPARED),
            *(f"{name} MB" for name in COMPARED),
        ],
        (_costs(name, by) for name, by in measured.timings.items()),
    )


def _times(question: str, by: Mapping[str, Timing]) -> list[str]:
    ours, duckdb, decode = by["ours"], by["DuckDB"], by["decode"]
    return [
        TITLES.get(question, question),
        *(
            f"{report.milliseconds(by[name].median)} ({report.milliseconds(by[name].best)})"
            for name in COMPARED
        ),
        f"{duckdb.median / ours.median:.1f}",
        f"{ours.median / decode.median:.1f}",
    ]


def _costs(question: str, by: Mapping[str, Timing]) -> list[str]:
    return [
        TITLES.get(question, question),
        *(report.milliseconds(by[name].median_cpu) for name in COMPARED),
        *(report.megabytes(by[name].peak_bytes) for name in COMPARED),
    ]


def kept(measured: Measured) -> Iterator[Promise]:
    """The promises about one scale."""
    scale = f"at scale {measured.scale:g}"
    whole = measured.timings[ALL]
    ours, duckdb, decode = (whole[name] for name in ("ours", "DuckDB", "decode"))
    yield promises.at_least(
        f"DuckDB ÷ ours, all of `GET /`, {scale}",
        duckdb.median / ours.median,
        DUCKDB_FACTOR,
        "",
    )
    yield from (
        _no_slower(question, measured) for question in SHAPES if question != ALL
    )
    if factor := DECODE_FACTORS.get(measured.scale):
        yield promises.at_most(
            f"ours ÷ decoding, all of `GET /`, {scale}",
            ours.median / decode.median,
            factor,
            "",
        )
    yield promises.at_most(
        f"peak memory, all of `GET /`, {scale}",
        ours.peak_bytes / 2**20,
        PEAK_MEGABYTES,
        " MB",
    )


def _no_slower(question: str, measured: Measured) -> Promise:
    by = measured.timings[question]
    return promises.at_least(
        f"DuckDB ÷ ours, {TITLES.get(question, question)}, at scale {measured.scale:g}",
        by["DuckDB"].median / by["ours"].median,
        1,
        "",
    )


def grown(small: Measured, large: Measured) -> Iterator[Promise]:
    """The promises about what must hardly grow with the data."""
    for question in SHAPES.keys() - SECTIONS - {ALL}:
        before, after = (one.timings[question]["ours"] for one in (small, large))
        yield promises.at_most(
            f"{TITLES[question]}, scale {large.scale:g} ÷ scale {small.scale:g}",
            after.median / before.median,
            GROWN_AT_MOST,
            "",
        )
