"""Rows as lines with their texts in them, and the proof that no text was misread.

This is the fastest form: the server joins one text, and one parser reads it. No character
is escaped, so a text must not contain one that means something here. The parser itself
shows that, if the lines are whole:

- It finds as many lines as the server counted rows. Each row ends in a line feed, so no
  text has one, and each line is a row.
- It fails if a line has more fields than it should. Each row has a tab for each field, so
  no text has one.
- NULL is the character 1, and the server counts the NULLs. The parser finds as many, so
  no text is that character. One that contains it among others is harmless.

Carriage returns and a byte order mark are looked for, since the parser drops them; it
fails if a text is not UTF-8. Unless all this holds, the rows must be fetched in the form
of `packed`, which takes any text.

Proven lines are those of no other rows: if others, as many and with as many NULLs, have
the same bytes as their lines, they have as many line feeds and tabs, so their texts have
none, and their fields are the same. Those that are the character 1 are as many as the
NULLs, so each is NULL. Hence the digest of a block may be one of its lines, and only
whoever stores it needs a proof.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from isal.isal_zlib import crc32

from readmodel.source.mysql.columns import NULL_MARK, identifier
from readmodel.source.mysql.packed import count_new_nulls, decoded
from readmodel.source.wire import ROW_END, SEPARATOR, Batch, Column

IN_ORDER: Final = " FORCE INDEX (PRIMARY)"
"""Follows the name of a table whose lines are joined: in the order of its primary key."""

SUMMANDS: Final = 8

_BINARY_SEPARATOR: Final = f"_binary'{SEPARATOR}' COLLATE 'binary'"
"""Makes the line a byte string: the collations of its texts need not go together.

An explicit collation takes precedence over those of columns, and costs less than a CAST,
which servers repeat for each row.
"""

_LINE_END: Final = f"{SEPARATOR}{ROW_END}".encode()
_CARRIAGE_RETURN: Final = b"\r"  # Polars drops it at the end of any field.
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # Polars drops it at the start.


def is_inline(column: Column) -> bool:
    """Whether values of *column* are texts in the lines."""
    return (
        column.dtype == pl.String()
        if column.payload_sql
        else column.wire_dtype == pl.String()
    )


def row_sql(columns: Sequence[Column]) -> str:
    """SQL for one line: its fields, each followed by a tab, and a line feed."""
    fields = ",".join(column.inline_sql for column in columns)
    return f"CONCAT_WS({_BINARY_SEPARATOR},{fields},'{ROW_END}')"


def lines_sql(columns: Sequence[Column]) -> str:
    """SQL for the lines of many rows; NULL without rows.

    A line that exceeds a packet is left out, and the lines end at one: the statement has
    a warning then.
    """
    return f"GROUP_CONCAT({row_sql(columns)} SEPARATOR '')"


def checksum_sql(columns: Sequence[Column]) -> str:
    """SQL for the checksum of one line, a number of 32 bits; the sum tells of no order.

    The second CRC makes it differ from a linear one, as in `sql.row_digest`.
    """
    return f"CRC32(CRC32({row_sql(columns)}))"


def checksum(text: bytes) -> int:
    """The sum of the checksums of proven lines."""
    return sum(checksums(text))


def checksums(text: bytes) -> list[int]:
    """The checksum of each proven line, as `checksum_sql` computes it."""
    return [crc32(b"%d" % crc32(line)) for line in text.splitlines(keepends=True)]


def digest(nulls: int, checksum: int) -> int:
    """The digest of lines with *nulls* NULLs in their texts: -2 and below.

    *checksum* is their CRC-32 where they are in the order of a key, and else the sum of
    their checksums.
    """
    return -2 - (nulls << 64 | checksum)


def is_of_lines(digest: int) -> bool:
    """Whether *digest* is one of lines, not of rows."""
    return digest < -1


def null_count_sql(columns: Sequence[Column]) -> str:
    """SQL for the number of NULLs in the texts of many rows."""
    counts = [
        f"COUNT({_not_null(column)})"
        for column in columns
        if is_inline(column) and column.may_be_null
    ]
    return f"{len(counts)}*COUNT(*)-({_sum(counts)})" if counts else "0"


def _sum(terms: Sequence[str]) -> str:
    """A balanced sum: servers compute a long one recursively, and have a small stack."""
    if len(terms) <= SUMMANDS:
        return "+".join(terms)
    middle = len(terms) // 2
    return f"({_sum(terms[:middle])})+({_sum(terms[middle:])})"


def _not_null(column: Column) -> str:
    name = identifier(column.name)
    # MySQL accepts a VECTOR in no aggregate.
    is_text = column.dtype == pl.String()
    return name if is_text else f"IF({name} IS NULL,NULL,1)"


def fits(columns: Sequence[Column]) -> bool:
    """Whether all values can stand in lines: bytes would have to be hexadecimal."""
    return all(column.payload_sql is None or is_inline(column) for column in columns)


def is_whole(text: bytes) -> bool:
    """False if *text* was cut off inside a line, unless a text in it is to blame."""
    return text.endswith(_LINE_END)


def unpack(
    texts: Sequence[bytes], columns: Sequence[Column], rows: int, nulls: int
) -> Batch | None:
    """Decode the *rows* whole lines of *texts*, with *nulls* NULLs in their own texts.

    None if they are not proven to be read exactly.
    """
    if any(_CARRIAGE_RETURN in it or it.startswith(_BYTE_ORDER_MARK) for it in texts):
        return None
    try:
        fields = _parse(texts, columns)
        if fields.height != rows or _nulls(fields, columns) != nulls:
            return None
        values = fields.select(map(decoded, columns))
    except pl.exceptions.PolarsError:
        return None
    return Batch(values, count_new_nulls(fields, values, values.columns))


def _nulls(fields: pl.DataFrame, columns: Sequence[Column]) -> int:
    texts = (column.name for column in columns if is_inline(column))
    return sum(fields.get_column(name).null_count() for name in texts)


def _parse(texts: Sequence[bytes], columns: Sequence[Column]) -> pl.DataFrame:
    schema: Mapping[str, pl.DataType] = {
        c.name: pl.String() if is_inline(c) else c.wire_dtype for c in columns
    }
    line_end = "end" + "_" * max(map(len, schema))
    return pl.read_csv(
        b"".join(texts),
        has_header=False,
        separator=SEPARATOR,
        quote_char=None,
        schema={**schema, line_end: pl.String()},
        null_values={column.name: NULL_MARK for column in columns if is_inline(column)},
        empty_string_is_null=False,
        raise_if_empty=False,
    ).drop(line_end)
