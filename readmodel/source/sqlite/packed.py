"""Packed rows: each row as one text, in the form of `wire`, whatever its values are."""

from collections.abc import Sequence

from readmodel.source.wire import QUOTE, ROW_END, SEPARATOR, Column, decode
from readmodel.tables import Table
from util.errors import SourceError


def packed_row(columns: Sequence[Column]) -> str:
    """SQL for one row as text."""
    fields = f"||'{SEPARATOR}'||".join(column.sql for column in columns)
    return f"{fields}||'{ROW_END}'"


def first_misfit(
    table: Table, column: Column, rows: Sequence[tuple[bytes, ...]]
) -> tuple[bytes, ...] | None:
    """The first of *rows* whose first field, a packed row, cannot be decoded."""
    try:
        text = b"".join(row[0] for row in rows)
        decode(table, repair(text)[0], [column], len(rows))
    except SourceError:
        if len(rows) == 1:
            return rows[0]
        middle = len(rows) // 2
        first, second = rows[:middle], rows[middle:]
        return first_misfit(table, column, first) or first_misfit(table, column, second)
    return None


def repair(text: bytes) -> tuple[bytes, int]:
    """Replace bytes that are not UTF-8 by U+FFFD; and the number of texts with such."""
    if _is_utf8(text):
        return text, 0
    fields = text.split(QUOTE.encode())
    repaired = sum(not _is_utf8(field) for field in fields)
    return text.decode(errors="replace").encode(), repaired


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
