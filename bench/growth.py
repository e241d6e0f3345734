"""Growth: the cost of all of `GET /` as the data grows a hundredfold."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench import chart, report
from bench.cases import ALL, dataset
from bench.chart import Line
from bench.data import PROJECT, sample_dir, size
from bench.worker import Timing, timings

PICTURE = PROJECT / "docs" / "growth.svg"

SCALES = (1.0, 3.0, 10.0, 30.0, 100.0)
ENGINES = ("ours", "in-memory", "streaming", "DuckDB", "decode")
COLOURS = {
    "ours": "#0b6e4f",
    "in-memory": "#7fb069",
    "streaming": "#4a90d9",
    "DuckDB": "#d1495b",
    "decode": "#8d99ae",
}

SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Point:
    """One scale: its rows, and the timing of ALL by each engine."""

    scale: float
    rows: int
    timings: Mapping[str, Timing]


def measure(largest: float) -> list[Point]:
    """Every engine at each of SCALES up to *largest*."""
    return [_point(scale) for scale in SCALES if scale <= largest]


def _point(scale: float) -> Point:
    report.progress(f"timing all of GET / at scale {scale:g}")
    data = dataset(sample_dir(scale))
    rows, _ = size(data.data_dir)
    return Point(scale, rows, timings(ENGINES, data, ALL, SECONDS))


def tables(points: Sequence[Point]) -> Iterator[str]:
    """The figures as Markdown."""
    yield "Milliseconds for all of `GET /` (median), and of processor time in brackets:"
    yield report.markdown(
        ["rows", *ENGINES],
        (
            [f"{point.rows:,}", *(_both(point.timings[name]) for name in ENGINES)]
            for point in points
        ),
    )
    yield (
        "Microseconds per thousand rows; in brackets the exponent with which the time "
        "grew with the number of rows since the line before (1 is proportional):"
    )
    yield report.markdown(["rows", *ENGINES], _per_row(points))
    yield _crossing(points)


def _both(timing: Timing) -> str:
    cpu = report.milliseconds(timing.median_cpu)
    return f"{report.milliseconds(timing.median)} ({cpu})"


def _per_row(points: Sequence[Point]) -> Iterator[list[str]]:
    previous_points: Sequence[Point | None] = [None, *points]
    for previous, point in zip(previous_points, points, strict=False):
        yield [
            f"{point.rows:,}",
            *(
                f"{_cost(point, name):,.0f}"
                + (f" ({_exponent(previous, point, name):.2f})" if previous else "")
                for name in ENGINES
            ),
        ]


def _cost(point: Point, engine: str) -> float:
    """Microseconds per thousand rows."""
    return point.timings[engine].median * 1e6 / (point.rows / 1000)


def _exponent(previous: Point, point: Point, engine: str) -> float:
    slower = point.timings[engine].median / previous.timings[engine].median
    return math.log(slower) / math.log(point.rows / previous.rows)


def _crossing(points: Sequence[Point]) -> str:
    """The number of rows from which the streaming engine is faster, interpolated."""
    for previous, point in pairwise(points):
        before, after = _lead(previous), _lead(point)
        if before < 0 <= after:
            share = before / (before - after)
            rows = previous.rows * (point.rows / previous.rows) ** share
            return f"The streaming engine is the faster one from about {rows:,.0f} rows on."
    faster = "streaming" if _lead(points[-1]) >= 0 else "in-memory"
    return f"The {faster} engine is the faster one at every scale measured."


def _lead(point: Point) -> float:
    """Logarithm of in-memory time ÷ streaming time: positive if streaming is faster."""
    memory, streaming = (point.timings[name] for name in ("in-memory", "streaming"))
    return math.log(memory.median / streaming.median)


def draw(points: Sequence[Point]) -> str:
    """An SVG picture of time, and of time per row, over the number of rows."""
    times = [
        Line(
            name,
            COLOURS[name],
            [(point.rows, point.timings[name].median * 1000) for point in points],
        )
        for name in ENGINES
    ]
    costs = [
        Line(
            name, COLOURS[name], [(point.rows, _cost(point, name)) for point in points]
        )
        for name in ENGINES
    ]
    return chart.render(
        "All of GET / as the data grows",
        ("milliseconds", times),
        ("microseconds per thousand rows", costs),
    )
