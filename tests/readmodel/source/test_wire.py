"""Packed rows are decoded exactly, and a text that was cut off is noticed."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.source import wire
from readmodel.source.wire import QUOTE, Column, Truncated, decode
from readmodel.tables import Table

THINGS = Table("things", key="id")
ID = Column("id", pl.Int32(), "id", pl.Int32())
NOTE = Column("note", pl.String(), "note", pl.String())

TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.text(
    "\"\t\n\r\\' ,", max_size=8
)
ROWS = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | TEXT), max_size=9)


def pack(rows: list[tuple[int | None, str | None]]) -> bytes:
    """Pack rows as the databases do."""
    lines = []
    for number, note in rows:
        field = "" if note is None else QUOTE + note.replace(QUOTE, 2 * QUOTE) + QUOTE
        lines.append(f"{'' if number is None else number}\t{field}\n")
    return "".join(lines).encode()


@settings(deadline=None)
@given(ROWS)
def test_rows_come_out_as_they_went_in(
    rows: list[tuple[int | None, str | None]],
) -> None:
    """NULL, empty text, quotes, delimiters and all other characters."""
    assert decode(THINGS, pack(rows), [ID, NOTE], len(rows)).frame.rows() == rows


@settings(deadline=None)
@given(ROWS.filter(bool), st.data())
def test_a_text_that_was_cut_off_at_any_byte_is_noticed(
    rows: list[tuple[int | None, str | None]], data: st.DataObject
) -> None:
    """A server cuts off a long text without an error."""
    text = pack(rows)
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(Truncated):
        decode(THINGS, text[:end], [ID, NOTE], len(rows))


@pytest.mark.parametrize(
    ("clock", "duration"),
    [
        (-500_000, timedelta(microseconds=-500_000)),
        (8_385_959_999_999, timedelta(hours=838, minutes=59, seconds=59.999999)),
        (-123_456_000_001, -timedelta(hours=12, minutes=34, seconds=56.000001)),
        (0, timedelta(0)),
    ],
)
def test_a_packed_clock_is_a_duration(clock: int, duration: timedelta) -> None:
    """Its form is ±HHMMSSffffff; it may be negative or longer than a day."""
    column = Column("t", pl.Duration("us"), "t", pl.Int64(), wire.duration_from_clock)
    assert decode(THINGS, f"{clock}\n".encode(), [column], 1).frame.item() == duration


def test_zero_dates_become_null_and_are_counted() -> None:
    """A NULL is not counted."""
    column = Column(
        "d", pl.Date(), "d", pl.Int32(), wire.date_from_digits, null_marker=0
    )
    batch = decode(THINGS, b"0\n\n19700101\n0\n", [column], 4)
    assert batch.frame["d"].to_list() == [None, None, date(1970, 1, 1), None]
    assert batch.zero_dates == 2
