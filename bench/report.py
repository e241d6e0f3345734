"""Markdown tables, for the terminal and between markers in two pages of docs."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.data import PROJECT

DOCUMENTS = (
    PROJECT / "docs" / "performance.md",
    PROJECT / "docs" / "measurements.md",
)
"""The pages with figures; each part has its place in one of them."""


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


def insert(part: str, text: str, documents: Iterable[Path] = DOCUMENTS) -> None:
    """Replace the text between the markers of *part* by *text*.

    Raises ValueError if *documents* together do not have these markers once.
    """
    begin, end = f"<!-- bench:{part} -->", f"<!-- /bench:{part} -->"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    old = {page: page.read_text(encoding="utf-8") for page in documents}
    places = [page for page, content in old.items() for _ in between.finditer(content)]
    if len(places) != 1:
        names = " or ".join(page.name for page in old)
        raise ValueError(f"{names} must have {begin} … {end} once")
    new = between.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", old[places[0]])
    places[0].write_text(new, encoding="utf-8")
