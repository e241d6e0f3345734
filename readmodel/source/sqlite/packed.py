"""Packed rows: each row as one text, in the form of `wire`, whatever its values are."""

from collections.abc import Sequence

from readmodel.source.wire import QUOTE, ROW_END, SEPARATOR, Column, is_utf8


def packed_row(columns: Sequence[Column]) -> str:
    """SQL for one row as text."""
    fields = f"||'{SEPARATOR}'||".join(column.sql for column in columns)
    return f"{fields}||'{ROW_END}'"


def repair(text: bytes) -> tuple[bytes, int]:
    """Replace bytes that are not UTF-8 by U+FFFD; and the number of texts with such."""
    if is_utf8(text):
        return text, 0
    repaired = sum(not is_utf8(field) for field in text.split(QUOTE.encode()))
    return text.decode(errors="replace").encode(), repaired
