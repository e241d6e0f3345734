"""Markdown tables, for the terminal and between markers in docs/performance.md."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.data import PROJECT

PERFORMANCE = PROJECT / "docs" / "performance.md"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with aligned columns; all but the first are right-aligned."""
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


def progress(step: str) -> None:
    """Print the current step to stderr; it is not part of the tables."""
    print(f"  … {step}", file=sys.stderr, flush=True)


def milliseconds(seconds: float) -> str:
    """Milliseconds with three significant digits, or without decimals from 100."""
    ms = seconds * 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def megabytes(size: float) -> str:
    """Bytes as whole megabytes (2^20 bytes)."""
    return f"{size / 2**20:,.0f}"


def insert(part: str, text: str, document: Path = PERFORMANCE) -> None:
    """Replace the text between the markers of *part* in *document* by *text*.

    Raises ValueError if the document does not have these markers once.
    """
    begin, end = f"<!-- bench:{part} -->", f"<!-- /bench:{part} -->"
    old = document.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, found = between.subn(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", old)
    if found != 1:
        raise ValueError(f"{document.name} must have {begin} … {end} once")
    document.write_text(new, encoding="utf-8")
