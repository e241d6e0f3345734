"""Tables as Markdown, on the screen and between markers in docs/performance.md."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.data import PROJECT

PERFORMANCE = PROJECT / "docs" / "performance.md"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its columns lined up; all but the first are right-aligned."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = [
        "-" * width if not i else "-" * (width - 1) + ":"
        for i, width in enumerate(widths)
    ]
    return "\n".join(_line(row, widths) for row in (head, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def progress(doing: str) -> None:
    """Say on the screen what takes so long; it is no part of the tables."""
    print(f"  … {doing}", file=sys.stderr, flush=True)


def milliseconds(seconds: float) -> str:
    """Three digits, or all of a large number."""
    ms = seconds * 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def megabytes(size: float) -> str:
    return f"{size / 2**20:,.0f}"


def insert(part: str, text: str, document: Path = PERFORMANCE) -> None:
    """Put *text* between the markers of *part* in *document*, in place of what is there.

    Raises ValueError when the document has no such markers.
    """
    begin, end = f"<!-- bench:{part} -->", f"<!-- /bench:{part} -->"
    old = document.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, found = between.subn(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", old)
    if found != 1:
        raise ValueError(f"{document.name} must have {begin} … {end} once")
    document.write_text(new, encoding="utf-8")
