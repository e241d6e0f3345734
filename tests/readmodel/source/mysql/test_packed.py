"""Packed rows are decoded exactly, and a text that was cut off is noticed."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.source.mysql.packed import PackedRows, join, unpack
from readmodel.source.wire import Column, Truncated
from readmodel.tables import Table

THINGS = Table("things", key="id")
COLUMNS = [
    Column("id", pl.Int32(), "id", pl.Int32()),
    Column("note", pl.String(), "LENGTH(note)", pl.Int64(), payload_sql="note"),
    Column("data", pl.Binary(), "LENGTH(data)", pl.Int64(), payload_sql="data"),
]

TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.text(
    "\x01\t\n,\"'\\", max_size=8
)
ROWS = st.lists(
    st.tuples(st.integers(-5, 5), st.none() | TEXT, st.none() | st.binary(max_size=5)),
    min_size=1,
    max_size=9,
)  # fmt: skip

type Rows = list[tuple[int, str | None, bytes | None]]


def pack(rows: Rows) -> PackedRows:
    """Pack rows as the server does."""
    texts = [(number, note and note.encode(), data) for number, note, data in rows]
    lines = [
        f"{number}\t{_length(note)}\t{_length(data)}\n" for number, note, data in texts
    ]
    payloads = zip(
        *((note or b"", data or b"") for _, note, data in texts), strict=True
    )
    return PackedRows("".join(lines).encode(), tuple(map(b"".join, payloads)))


def _length(value: Any) -> str:
    return "" if value is None else str(len(value))


@settings(deadline=None)
@given(ROWS, ROWS)
def test_rows_come_out_as_they_went_in(rows: Rows, more: Rows) -> None:
    """NULL, empty text, delimiters and all other characters, in joined texts, too."""
    packed = join([pack(rows), pack(more)])
    batch = unpack(THINGS, packed, COLUMNS, len(rows) + len(more))
    assert batch.frame.rows() == rows + more
    assert batch.repaired_texts == 0


@settings(deadline=None)
@given(ROWS, st.data())
def test_a_text_that_was_cut_off_at_any_byte_is_noticed(
    rows: Rows, data: st.DataObject
) -> None:
    """A server cuts off a long text without an error, each of them by itself."""
    packed = pack(rows)
    texts = [packed.fields, *packed.payloads]
    cut = data.draw(st.sampled_from([i for i, text in enumerate(texts) if text]))
    texts[cut] = texts[cut][: data.draw(st.integers(0, len(texts[cut]) - 1))]
    with pytest.raises(Truncated):
        unpack(THINGS, PackedRows(texts[0], tuple(texts[1:])), COLUMNS, len(rows))


@pytest.mark.parametrize(
    ("sent", "text", "repaired"),
    [
        (b"x\xed\xa0\x80y", "x\ufffdy", 1),
        (b"\xed\xa0\xbd\xed\xb8\x80", "\ufffd\ufffd", 1),
        (b"\xff", "\ufffd", 1),
        ("\ufffd".encode(), "\ufffd", 0),
        (b"\xed\x9f\xbf", "\ud7ff", 0),
    ],
)
def test_what_unicode_does_not_have_becomes_a_replacement_character(
    sent: bytes, text: str, repaired: int
) -> None:
    """A surrogate is one; the values are counted, and the others stay as they are."""
    fields = f"1\t{len(sent)}\t\n2\t2\t\n3\t\t\n".encode()
    packed = PackedRows(fields, (sent + "é".encode(), b""))
    batch = unpack(THINGS, packed, COLUMNS, 3)
    assert batch.frame["note"].to_list() == [text, "é", None]
    assert batch.repaired_texts == repaired
