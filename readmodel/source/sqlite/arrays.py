"""The values of a block as one JSON array for each column.

SQLite writes them by a function of its own, so that no row becomes a Python object, and
Polars reads them: this takes a quarter of the time of packed rows. An array tells types
apart: 1, "1" and null. What it cannot hold exactly is recognised from its characters
alone, and the block is read as packed rows instead:

- a floating-point number, of which SQLite writes 15 digits, where another type is declared;
- bytes where another type is declared, which make the function fail;
- a value that does not fit the declared type.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import batched
from typing import Final

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source.sqlite.floats import are_proven
from readmodel.source.sqlite.times import digits_of_times, instants_from_digits
from readmodel.source.wire import Batch, Column

_NO_INTEGERS: Final = (b'"', b".", b"e", b"I")
"""A text has the first of these, a floating-point number one of the others: 1.0, Inf."""
_SEPARATOR: Final = '","'
_NUMBER_STARTS: Final = bytes.maketrans(b"123456789-I[", b"00000000000,")
_NULLS: Final = b"[,null]"
_NULL: Final = b"null"
_HEAD_BYTES: Final = 1024
"""An array with nulls mostly has one in so many bytes."""

_NO_CHARACTER: Final = "\x01"
"""An array contains no control characters: it has escapes for them."""

_TIME: Final = r"^\d{4}-\d\d-\d\d[ T][0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6}0*)?Z?$"
_DAY: Final = r"^\d{4}-\d\d-\d\d$"
_YEAR_1: Final = -719_162
"""The first day of the year 1, in days since 1970: no calendar has a year 0."""

_LARGEST_DECIMAL: Final = 15
"""Digits of the numbers that a floating-point number holds apart from each other."""


class NotHeld(ValueError):
    """An array does not tell the values: read them as packed rows."""


def can_hold(columns: Sequence[Column]) -> bool:
    """Whether *columns* have arrays; those of views, which may contain JSON, have none."""
    return bool(columns) and all(column.array_sql for column in columns)


def arrays_sql(columns: Sequence[Column]) -> str:
    """SQL for the arrays of many rows: one for each column, then the proofs."""
    elements = [column.array_sql for column in columns]
    elements += [proof for column in columns for proof in column.proof_sql]
    return ", ".join(f"json_group_array({element})" for element in elements)


def number_columns(columns: Sequence[Column]) -> Sequence[bool]:
    """Whether the elements of each of *columns* are integers."""
    kinds = pl.Boolean | pl.Decimal
    return [c.dtype.is_integer() or isinstance(c.dtype, kinds) for c in columns]


def are_held(are_numbers: Sequence[bool], arrays: Sequence[bytes], rows: int) -> bool:
    """Whether *arrays* of *rows* elements tell their values: integers, or texts."""
    return all(
        not any(mark in array for mark in _NO_INTEGERS)
        if is_number
        else _have_texts_only([array], rows) or _has_texts_and_nulls(array)
        for is_number, array in zip(are_numbers, arrays, strict=True)
    )


def count_integers(array: bytes) -> int:
    """The number of elements of *array*, if they are integers and nulls."""
    return 0 if array == b"[]" else array.count(b",") + 1


def are_floats_proven(
    columns: Sequence[Column],
    arrays: Sequence[bytes],
    proofs: Sequence[bytes],
    rows: int,
) -> bool:
    """Whether *proofs* prove the texts of all floating-point numbers in *arrays*."""
    proven = [n for n, column in enumerate(columns) if column.proof_sql]
    return all(
        are_proven(
            read_texts([arrays[number]], rows),
            read_integers([whole]),
            read_integers([fraction]),
        )
        for number, (whole, fraction) in zip(proven, batched(proofs, 2), strict=True)
    )


def digest(arrays: Sequence[bytes]) -> int:
    """A hash (64 bits) of all values and of their order."""
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(array)
    return int.from_bytes(hashed.digest()[:8])


def decode_arrays(
    columns: Sequence[Column], blocks: Sequence[Sequence[bytes]], rows: int
) -> Batch:
    """Decode the *rows* of *blocks*, each a proven array for each of *columns*.

    Raises NotHeld for values that need more care, or do not fit.
    """
    try:
        values = [
            _decode(column, [arrays[number] for arrays in blocks], rows)
            for number, column in enumerate(columns)
        ]
    except pl.exceptions.PolarsError as error:
        raise NotHeld(str(error)) from error
    if any(each.len() != rows for each in values):
        raise NotHeld("another number of values")
    return Batch(pl.DataFrame(values))


def _have_texts_only(arrays: Sequence[bytes], rows: int) -> bool:
    """Whether all elements are texts, none of which needs an escape.

    Without a backslash, quotes stand only around texts.
    """
    if any(b"\\" in array for array in arrays):
        return False
    return sum(array.count(b'"') for array in arrays) == 2 * rows


def _has_texts_and_nulls(array: bytes) -> bool:
    """Whether outside of texts there is nothing but null: no number."""
    starts = array.translate(_NUMBER_STARTS)
    if b",0" not in starts:
        return True  # nor does a text have a comma or bracket before a digit
    if b"\\" in array:
        array = array.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(array.split(b'"')[::2])
    return not outside.translate(None, _NULLS)


def _decode(column: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    decoder = _DECODERS.get(column.dtype.base_type(), _integers)
    return decoder(column, arrays, rows).cast(column.dtype).alias(column.name)


def read_integers(arrays: Sequence[bytes]) -> pl.Series:
    """The elements (Int64) of proven *arrays* of integers and nulls."""
    return _numbers(memoryview(array)[1:-1] for array in arrays)


def _integers(_: Column, arrays: Sequence[bytes], __: int) -> pl.Series:
    return read_integers(arrays)


def _numbers(texts: Iterable[bytes | memoryview]) -> pl.Series:
    """The integers of *texts*, which have commas between them, and null."""
    text = b",".join(texts)
    return pl.read_csv(
        text,
        has_header=False,
        schema={"": pl.Int64()},
        separator=_NO_CHARACTER,
        quote_char=None,
        eol_char=",",
        null_values=_NULL.decode() if _NULL in text else None,
        raise_if_empty=False,
    ).to_series()


def _booleans(column: Column, arrays: Sequence[bytes], _: int) -> pl.Series:
    numbers = read_integers(arrays)
    if not numbers.is_between(0, 1).all():
        raise NotHeld(column.name)
    return numbers != 0


def _decimals(column: Column, arrays: Sequence[bytes], _: int) -> pl.Series:
    """Numbers as integers, multiplied by the power of ten of the scale."""
    dtype = column.dtype
    if not isinstance(dtype, pl.Decimal) or dtype.precision is None:
        raise NotHeld(column.name)
    numbers = read_integers(arrays)
    limit = 10 ** min(dtype.precision, _LARGEST_DECIMAL)
    if not numbers.is_between(-limit, limit, closed="none").all():
        raise NotHeld(column.name)
    return numbers.cast(pl.Int128).reinterpret(dtype=dtype)


def read_texts(arrays: Sequence[bytes], rows: int) -> pl.Series:
    """The *rows* elements (String) of proven *arrays* of texts and nulls.

    Raises PolarsError for bytes that are not UTF-8.
    """
    if not any(b"\\" in array or _NULL in array[:_HEAD_BYTES] for array in arrays):
        # As usual, which takes half as long. With a null, there are fewer texts than
        # rows: quotes stand only around texts, and the first is one.
        plain = pl.Series([array[2:-2] for array in arrays]).cast(pl.String)
        texts = plain.str.split(_SEPARATOR).explode()
        if texts.len() == rows:
            return texts
    whole = pl.Series(arrays).cast(pl.String)
    return whole.str.json_decode(pl.List(pl.String)).explode()


def _texts(_: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    return read_texts(arrays, rows)


def _floats(_: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    return read_texts(arrays, rows).cast(pl.Float64)


def _binaries(_: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    return read_texts(arrays, rows).str.decode("hex")


def _dates(_: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    texts = read_texts(arrays, rows)
    _check_pattern(texts, _DAY)
    dates = texts.str.to_date("%Y-%m-%d")
    return _from_year_1(dates, dates)


def _instants(_: Column, arrays: Sequence[bytes], rows: int) -> pl.Series:
    digits = [digits_of_times(array) for array in arrays]
    if all(digits):
        usual = instants_from_digits(_numbers(each for each in digits if each))
        if usual is not None:
            return usual
    texts = read_texts(arrays, rows)
    _check_pattern(texts, _TIME)
    seconds = texts.str.slice(0, 19).str.replace("T", " ", literal=True)
    instants = seconds.str.to_datetime(
        "%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", cache=False
    )
    whole = _from_year_1(instants, instants.dt.date()).to_physical()
    return (whole + _micros(texts)).cast(INSTANT)


def _micros(texts: pl.Series) -> pl.Series:
    """The microseconds of times, which have a fraction or none: .25 are 250,000."""
    fraction = texts.str.slice(19).str.strip_chars(".Z")
    return fraction.str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)


def _check_pattern(texts: pl.Series, pattern: str) -> None:
    if not texts.str.contains(pattern).all():
        raise NotHeld(pattern)


def _from_year_1(values: pl.Series, days: pl.Series) -> pl.Series:
    """*values*, which are on these *days*."""
    first = days.to_physical().min()
    if isinstance(first, int) and first < _YEAR_1:
        raise NotHeld("year 0")
    return values


_DECODERS: Final[
    dict[type[pl.DataType], Callable[[Column, Sequence[bytes], int], pl.Series]]
] = {
    pl.Boolean: _booleans,
    pl.Decimal: _decimals,
    pl.String: _texts,
    pl.Float64: _floats,
    pl.Binary: _binaries,
    pl.Date: _dates,
    pl.Datetime: _instants,
}
