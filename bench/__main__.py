"""`make bench`: measure the answers and the sync, print tables, keep them with --write.

SCALE is how many times the sample (about 130,000 rows) there are: 1 unless set. With
more, the answers are measured at scale 1 as well, so that growth shows.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import chain

from bench import answers, growth, machine, promises, ranges, report, serving, sync
from bench.errors import BenchError
from util.errors import FppError

SCALE = "SCALE"


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=list(PARTS), help="only this part")
    parser.add_argument(
        "--write", action="store_true", help="put the tables into docs/performance.md"
    )
    given = parser.parse_args()
    try:
        scale = _scale(os.environ.get(SCALE) or "1")
        for part in [given.part] if given.part else PARTS:
            _run(part, scale, write=given.write)
    except FppError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:  # it has said why itself
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0
    if not scale > 0:
        raise BenchError(f"{SCALE} must be a number above 0, not {text!r}")
    return scale


def _run(part: str, scale: float, *, write: bool) -> None:
    print(f"▸ {part}", end="\n\n")
    texts = []
    for text in chain([_circumstances()], PARTS[part](scale, write)):
        print(text, end="\n\n", flush=True)
        texts.append(text)
    if write:
        report.insert(part, "\n\n".join(texts))


def _circumstances() -> str:
    load = machine.load()
    noise = (
        f" Others were using it, too (load average {load:.1f}): figures are too high."
        if load > machine.LOADED
        else ""
    )
    return f"Measured on {machine.description()}.{noise}"


def _scales(scale: float) -> list[float]:
    return sorted({1.0, scale})


def _answers(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, answers.measure, answers.tables)
    kept = [promise for one in measured for promise in answers.kept(one)]
    for larger in measured[1:]:
        kept += answers.grown(measured[0], larger)
    yield promises.table(kept)


def _ranges(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, ranges.measure, ranges.tables)
    if kept := [promise for one in measured for promise in ranges.kept(one)]:
        yield promises.table(kept)


def _serving(scale: float, _: bool) -> Iterator[str]:
    measured = yield from _at_scales(scale, serving.measure, serving.tables)
    yield promises.table(promise for one in measured for promise in serving.kept(one))


def _at_scales[M](
    scale: float,
    measure: Callable[[float], M],
    tables: Callable[[M], Iterator[str]],
) -> Generator[str, None, list[M]]:
    """Yield the tables of each scale as it is measured; return what was measured."""
    measured = []
    for one in _scales(scale):
        measured.append(measure(one))
        yield from tables(measured[-1])
    return measured


def _growth(scale: float, write: bool) -> Iterator[str]:
    points = growth.measure(scale)
    if len(points) < 2:
        yield f"There is no growth at one scale: set {SCALE}=100."
        return
    yield from growth.tables(points)
    if write:
        growth.PICTURE.write_text(growth.draw(points), encoding="utf-8")


def _sync(scale: float, _: bool) -> Iterator[str]:
    yield from sync.run(scale)


type Part = Callable[[float, bool], Iterator[str]]
"""Takes the scale, and whether to write into docs/; yields Markdown as it is measured."""

PARTS: Mapping[str, Part] = {
    "answers": _answers,
    "ranges": _ranges,
    "serving": _serving,
    "growth": _growth,
    "sync": _sync,
}

if __name__ == "__main__":
    sys.exit(main())
