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

from readmodel.source.wire import ROW_END, Batch, Column, Truncated, parse_fields
from readmodel.tables import Table
from util.columns import column_named
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
        fields = parse_fields(packed.fields, columns, None)
        if fields.height != rows:
            raise Truncated(f"{fields.height} rows arrived instead of {rows}")
        return _decode(fields, packed.payloads, columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{table.name} cannot be read: {reason}") from error


def _decode(
    fields: pl.DataFrame, payloads: Iterable[bytes], columns: Sequence[Column]
) -> Batch:
    remaining = iter(payloads)
    values = fields.select(
        decoded(column)
        if column.payload_sql is None
        else _slices(fields.get_column(column.name), next(remaining))
        for column in columns
    )
    plain = [column.name for column in columns if column.payload_sql is None]
    zero_dates = count_new_nulls(fields, values, plain)
    texts = [c.name for c in columns if c.payload_sql and c.dtype == pl.String()]
    repaired = 0
    for name in texts:
        text, count = _as_text(values.get_column(name))
        values = values.with_columns(text)
        repaired += count
    return Batch(values, zero_dates, repaired)


def count_new_nulls(
    fields: pl.DataFrame, values: pl.DataFrame, names: Iterable[str]
) -> int:
    """Values of these columns that are null, and whose fields are not."""
    return sum(
        values.get_column(name).null_count() - fields.get_column(name).null_count()
        for name in names
    )


def decoded(column: Column) -> pl.Expr:
    """Turn the parsed field of *column* into its value."""
    field = column_named(column.name)
    if column.null_marker is not None:
        field = pl.when(field != column.null_marker).then(field)
    return column.decode(field).cast(column.dtype).alias(column.name)


def _slices(lengths: pl.Series, payload: bytes) -> pl.Expr:
    """Cut *payload* into values of these *lengths*; a null length is a null value."""
    if lengths.sum() != len(payload) or (lengths < 0).any():
        raise Truncated(f"{lengths.name}: {len(payload)} bytes arrived")
    length = column_named(lengths.name)
    start = length.fill_null(0).cum_sum() - length
    value = pl.lit(payload, dtype=pl.Binary()).bin.slice(start, length)
    return value.alias(lengths.name)


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
