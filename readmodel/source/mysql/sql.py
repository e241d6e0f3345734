"""SQL for blocks: packed rows, block numbers, and the rows that belong to blocks."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched, groupby

from readmodel.source.blocking import (
    SECONDS_TO_1970,
    Block,
    Blocking,
    BlockRange,
    KeyKind,
)
from readmodel.source.mysql.columns import identifier
from readmodel.source.wire import ROW_END, SEPARATOR, Column

# A field has at most 67 characters; max_allowed_packet is at least 1024 bytes.
FIELDS_PER_DIGEST = 12
# For GROUP BY: a name would mean a column of the table before it means an alias.
FIRST_COLUMN = 1


def packed_row(columns: Sequence[Column]) -> str:
    """SQL for one packed row; the separators are literal characters, not escapes."""
    fields = f",'{SEPARATOR}',".join(column.sql for column in columns)
    return f"CONCAT({fields},'{ROW_END}')"


def packed_texts(columns: Sequence[Column]) -> list[str]:
    """SQL for the payloads of many rows, in the order of the columns that have one."""
    payloads = (c.payload_sql for c in columns if c.payload_sql is not None)
    return [f"GROUP_CONCAT({payload} SEPARATOR '')" for payload in payloads]


def plain_values(columns: Sequence[Column]) -> list[str]:
    """SQL for the values of one row: fields as in a packed row, and texts themselves.

    Texts are not converted by a function, whose result is limited: the connection does.
    """
    return [
        column.sql if column.payload_sql is None else identifier(column.name)
        for column in columns
    ]


def row_digest(columns: Sequence[Column]) -> str:
    """SQL for the digest of one row, a number of 32 bits; NULL for no row.

    A text is digested by itself, and few fields at a time are joined, so nothing exceeds
    the smallest possible packet: a function's result that does is NULL.
    """
    fields = [column.digest_sql for column in columns]
    while len(fields) > FIELDS_PER_DIGEST:
        fields = [
            f"CRC32({_joined(some)})" for some in batched(fields, FIELDS_PER_DIGEST)
        ]
    # The second CRC is over the first one's digits: unlike CRC alone, it is not linear,
    # so values swapped between two rows cannot cancel out in a sum.
    return f"CRC32(CRC32({_joined(fields)}))"


def _joined(fields: Sequence[str]) -> str:
    # No field contains a comma: they are numbers, dates, UUIDs or addresses.
    return f"CONCAT_WS(',',{','.join(fields)})"


def block_number(columns: Sequence[Column], blocking: Blocking) -> str:
    """SQL for the block number of a row. See `signed_number` for negative integers."""
    position = _position(columns, blocking)
    if blocking.key_kind is KeyKind.TIME:
        return f"{position} DIV {blocking.width}"
    # A shift rounds down; DIV would put -1 and 1 into the same block.
    return f"{position} >> {blocking.width.bit_length() - 1}"


def signed_number(
    number: int | None, columns: Sequence[Column], blocking: Blocking
) -> int | None:
    """Restore the sign of a block number: MySQL shifts integers as unsigned 64 bits.

    With a width of 16384, the key -1 yields the number 2**50 - 1, which becomes -1.
    """
    if number is None or blocking.key_kind is KeyKind.TIME:
        return number
    bits = 64 - (blocking.width.bit_length() - 1)
    key = _key(columns, blocking)
    negative = key.dtype.is_signed_integer() and number >= 1 << (bits - 1)
    return number - (1 << bits) if negative else number


def in_blocks(
    columns: Sequence[Column], blocking: Blocking, blocks: Sequence[Block]
) -> str:
    """SQL that is true for exactly the rows of *blocks*."""
    key = identifier(blocking.key)
    numbers = [block.number for block in blocks if block.number is not None]
    ranges = [
        f"{key} BETWEEN {_lowest_key(blocking, first)} AND {_highest_key(blocking, last)}"
        for first, last in _consecutive(numbers)
    ]
    numbered = _numbered(" OR ".join(ranges), columns, blocking) if ranges else ""
    if len(numbers) == len(blocks):
        return numbered
    unnumbered = f"{_position(columns, blocking)} IS NULL"
    return f"({numbered}) OR {unnumbered}" if numbered else unnumbered


def in_range(
    columns: Sequence[Column], blocking: Blocking, block_range: BlockRange
) -> str:
    """SQL that is true for exactly the rows of *block_range*."""
    key = identifier(blocking.key)
    bounds = []
    if block_range.first is not None:
        bounds.append(f"{key} >= {_lowest_key(blocking, block_range.first)}")
    if block_range.last is not None:
        bounds.append(f"{key} <= {_highest_key(blocking, block_range.last)}")
    numbered = " AND ".join(bounds) or "TRUE"
    if block_range.first is not None:
        return _numbered(numbered, columns, blocking)
    position = _position(columns, blocking)
    return f"({numbered}) OR {position} IS NULL" if bounds else "TRUE"


def _numbered(condition: str, columns: Sequence[Column], blocking: Blocking) -> str:
    """SQL for *condition* on keys that is false for rows without a number, not NULL.

    NOT must select these. Servers evaluate IS NOT NULL for each row even if no key can
    be NULL: 4 % of what a scan by the primary key costs them.
    """
    is_number = blocking.key_kind is KeyKind.NUMBER
    if is_number and not _key(columns, blocking).may_be_null:
        return f"({condition})"
    return f"({condition}) AND {_position(columns, blocking)} IS NOT NULL"


def _position(columns: Sequence[Column], blocking: Blocking) -> str:
    """SQL for the place of a row on the key's axis; NULL for rows without a key."""
    if blocking.key_kind is KeyKind.NUMBER:
        return identifier(blocking.key)
    return _key(columns, blocking).seconds_sql


def _key(columns: Sequence[Column], blocking: Blocking) -> Column:
    return next(column for column in columns if column.name == blocking.key)


def _lowest_key(blocking: Blocking, number: int) -> str:
    key = number * blocking.width
    return str(key) if blocking.key_kind is KeyKind.NUMBER else f"'{_timestamp(key)}'"


def _highest_key(blocking: Blocking, number: int) -> str:
    key = (number + 1) * blocking.width - 1
    if blocking.key_kind is KeyKind.NUMBER:
        return str(key)
    return f"'{_timestamp(key)}.999999'"


def _timestamp(seconds: int) -> datetime:
    """The time that TO_SECONDS gives as *seconds*, without zone, as MySQL writes it."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return (start + timedelta(seconds=seconds - SECONDS_TO_1970)).replace(tzinfo=None)


def _consecutive(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of ascending numbers: 1 2 5 is (1,2) (5,5)."""
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
