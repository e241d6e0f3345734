"""`make bench`: measure answers and syncs, and print tables.

SCALE multiplies the sample of about 130,000 rows, as in 100 or 1/100; the default is 1. At other scales the
answers are also measured at scale 1, for comparison.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from fractions import Fraction
from itertools import chain

from bench import (
    answers,
    engine,
    events,
    filters,
    growth,
    machine,
    ranges,
    report,
    serving,
    sync,
    targets,
    views,
    views_serving,
)
from bench.errors import BenchError
from util.errors import FppError
from util.output import run_command

SCALE = "SCALE"


def main() -> int:
    """Run the selected parts; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "part", nargs="?", choices=list(PARTS), help="measure only this part"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the tables to docs/performance.md and docs/measurements.md",
    )
    options = parser.parse_args()
    try:
        scale = _scale(os.environ.get(SCALE) or "1")
        for part in [options.part] if options.part else PARTS:
            _run(part, scale, write=options.write)
    except FppError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:  # it printed the reason
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _scale(text: str) -> float:
    try:
        scale = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        scale = 0
    if not scale > 0:
        raise BenchError(f"{SCALE} must be a number above 0, not {text!r}")
    return scale


def _run(part: str, scale: float, *, write: bool) -> None:
    print(f"▸ {part}", end="\n\n")
    texts = []
    for text in chain([_environment()], PARTS[part](scale, write)):
        print(text, end="\n\n", flush=True)
        texts.append(text)
    if write:
        report.insert(part, "\n\n".join(texts))


def _environment() -> str:
    load = machine.load()
    noise = (
        f" Other programs used it, too (load average {load:.1f}): figures are too high."
        if load > machine.BUSY_LOAD
        else ""
    )
    return f"Measured on {machine.description()}.{noise}"


def _scales(scale: float) -> list[float]:
    return sorted({1.0, scale})


def _answers(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, answers.measure, answers.tables)
    checked = [target for one in measured for target in answers.check_targets(one)]
    for larger in measured[1:]:
        checked += answers.check_growth(measured[0], larger)
    yield targets.table(checked)


def _ranges(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, ranges.measure, ranges.tables)
    checked = [target for one in measured for target in ranges.check_targets(one)]
    if checked:
        yield targets.table(checked)


def _filters(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, filters.measure, filters.tables)
    yield targets.table(
        target for one in measured for target in filters.check_targets(one)
    )


def _serving(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, serving.measure, serving.tables)
    yield targets.table(
        target for one in measured for target in serving.check_targets(one)
    )


def _at_scales[M](
    scale: float,
    measure: Callable[[float], M],
    tables: Callable[[M], Iterator[str]],
) -> Generator[str, None, list[M]]:
    """Measure each scale and yield its tables; return all measurements."""
    measured = []
    for one in _scales(scale):
        measured.append(measure(one))
        yield from tables(measured[-1])
    return measured


def _engine(scale: float, _: bool) -> Iterator[str]:
    yield from _at_scales(scale, engine.measure, engine.tables)


def _growth(scale: float, write: bool) -> Iterator[str]:
    points = growth.measure(scale)
    if len(points) < 2:
        yield f"Growth needs more than one scale: set {SCALE}=100."
        return
    yield from growth.tables(points)
    if write:
        growth.PICTURE.write_text(growth.draw(points), encoding="utf-8")


def _sync(scale: float, _: bool) -> Iterator[str]:
    yield from sync.run(scale)


def _views(scale: float, _: bool) -> Iterator[str]:
    for one in _scales(scale):
        yield from views.tables(one, views.measure(one))
        yield from views_serving.tables(views_serving.measure(one))


def _events(_: float, __: bool) -> Iterator[str]:
    measured = events.measure()
    yield from events.tables(measured)
    yield targets.table(events.check_targets(measured))


type BenchPart = Callable[[float, bool], Iterator[str]]
"""Function of the scale and of --write; measures, and yields Markdown texts."""

PARTS: Mapping[str, BenchPart] = {
    "answers": _answers,
    "ranges": _ranges,
    "filters": _filters,
    "serving": _serving,
    "engine": _engine,
    "growth": _growth,
    "sync": _sync,
    "views": _views,
    "events": _events,
}

if __name__ == "__main__":
    sys.exit(run_command(main))
