"""Packed rows of MySQL and MariaDB: one text of fields, and the bytes of each text column.

Rows are lines of tab-separated fields, which are numbers, dates or the lengths of texts.
The texts themselves travel beside them, a column's values joined without a separator:
('a', 'bc') and ('é', NULL) are the lines "1,2" and "2," and the payloads "aé" and "bc".
So no character needs an escape, and the lengths tell whether a payload is whole.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from readmodel.source.wire import ROW_END, SEPARATOR, Batch, Column, Truncated
from readmodel.tables import Table
from util.errors import SourceError

_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Packed rows: their fields, and a payload for each column that has one."""

    fields: bytes
    payloads: tuple[bytes, ...]

    @property
    def bytes(self) -> int:
        """The size of all texts."""
        return len(self.fields) + sum(map(len, self.payloads))


def join(packed: Sequence[PackedRows]) -> PackedRows:
    """Join several texts, which must be whole, in order."""
    payloads = zip(*(each.payloads for each in packed), strict=True)
    return PackedRows(
        b"".join(each.fields for each in packed), tuple(map(b"".join, payloads))
    )


def unpack(
    table: Table, packed: PackedRows, columns: Sequence[Column], rows: int
) -> Batch:
    """Decode *rows* rows.

    Raises Truncated when a text was cut off, and SourceError when a value does not fit
    the declared type of its column.
    """
    if not packed.fields.endswith(ROW_END.encode()):
        raise Truncated(f"{len(packed.fields)} bytes end inside a row")
    try:
        fields = _parse(packed.fields, columns)
        if fields.height != rows:
            raise Truncated(f"{fields.height} rows arrived instead of {rows}")
        return _decode(fields, packed.payloads, columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{table.name} cannot be read: {reason}") from error


def _parse(text: bytes, columns: Sequence[Column]) -> pl.DataFrame:
    return pl.read_csv(
        text,
        has_header=False,
        separator=SEPARATOR,
        quote_char=None,
        schema={column.name: column.wire_dtype for column in columns},
        raise_if_empty=False,
    )


def _decode(
    fields: pl.DataFrame, payloads: Iterable[bytes], columns: Sequence[Column]
) -> Batch:
    remaining = iter(payloads)
    decoded, zero_dates, repaired = [], 0, 0
    for column in columns:
        field = fields.get_column(column.name)
        if column.payload_sql is None:
            values = fields.select(_decoded(column)).to_series()
            zero_dates += values.null_count() - field.null_count()
        else:
            values = _slices(next(remaining), field)
            if column.dtype == pl.String():
                values, count = _as_text(values)
                repaired += count
        decoded.append(values)
    return Batch(pl.DataFrame(decoded), zero_dates, repaired)


def _decoded(column: Column) -> pl.Expr:
    field = pl.col(column.name)
    if column.null_marker is not None:
        field = pl.when(field != column.null_marker).then(field)
    return column.decode(field).cast(column.dtype).alias(column.name)


def _slices(payload: bytes, lengths: pl.Series) -> pl.Series:
    """Cut *payload* into values of these *lengths*; a null length is a null value."""
    if lengths.sum() != len(payload) or (lengths < 0).any():
        raise Truncated(f"{lengths.name}: {len(payload)} bytes arrived")
    length = pl.col(lengths.name)
    start = length.fill_null(0).cum_sum() - length
    value = pl.lit(payload, dtype=pl.Binary()).bin.slice(start, length)
    return pl.DataFrame(lengths).select(
        pl.when(length.is_not_null()).then(value).alias(lengths.name)
    )[lengths.name]


def _as_text(values: pl.Series) -> tuple[pl.Series, int]:
    """Decode UTF-8; what Unicode does not have becomes U+FFFD in the counted values.

    The servers accept surrogates, halves of a UTF-16 character, in most character sets.
    """
    try:
        return values.cast(pl.String), 0
    except pl.exceptions.ComputeError:
        texts = [None if value is None else _repaired(value) for value in values]
        count = sum(
            text is not None and text.encode() != value
            for text, value in zip(texts, values, strict=True)
        )
        return pl.Series(values.name, texts, pl.String()), count


def _repaired(value: bytes) -> str:
    whole = _SURROGATE.sub(_REPLACEMENT.encode(), value)
    return whole.decode(errors="replace")
