"""SQL for blocks: how a row is hashed, in which block it is, which rows are meant."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from readmodel.source.blocking import Blocking, BlockRange, KeyKind
from readmodel.source.postgres.columns import identifier, in_calendar
from readmodel.source.wire import QUOTE, SEPARATOR, Column

# From year 0, where days are counted from, to 1970.
DAYS_TO_1970 = 719_528
SECONDS_PER_DAY = 86_400
# More alternatives than this cost the planner and each row more than one hashed list.
MOST_RANGES = 100

# The first statement takes the snapshot of the transaction, and none of these does.
# They pin whatever else would decide how a value is written or which rows are seen.
BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = pg_catalog;
SET LOCAL standard_conforming_strings = on;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, MDY';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex';
SET LOCAL quote_all_identifiers = off;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL row_security = off;
SET LOCAL jit = off;
SET LOCAL lock_timeout = '{lock_seconds}s';
SET LOCAL idle_in_transaction_session_timeout = '5min';
"""

# The planner takes each row for a block of its own and would sort them all, and it would
# read a range of keys row by row along the index, which costs a fifth more than by pages.
_BLOCKS = "SET LOCAL enable_indexscan = off; SET LOCAL enable_sort = off; "
_BOUNDS = "SET LOCAL enable_indexscan = on; "

SNAPSHOT = "SELECT pg_current_snapshot(), pg_is_in_recovery()"

STATUS = """
SELECT current_user, current_setting('server_version'), pg_is_in_recovery(),
    current_setting('statement_timeout'), clock_timestamp()"""

SECONDS_OPEN = "SELECT extract(epoch FROM clock_timestamp() - transaction_timestamp())"

DEFAULT_SCHEMA = "public"


def qualified(name: str) -> str:
    """The quoted name of a table; without a schema it is in the schema public."""
    schema, dot, table = name.partition(".")
    if not dot:
        schema, table = DEFAULT_SCHEMA, name
    return f"{identifier(schema)}.{identifier(table)}"


def literal(text: str) -> str:
    """*text* as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def regclass(name: str) -> str:
    """The oid of a table."""
    return f"{literal(qualified(name))}::regclass"


def lock(name: str) -> str:
    """Keep a table from being truncated or altered until the transaction ends."""
    return f"LOCK TABLE {qualified(name)} IN ACCESS SHARE MODE"


def may_write(name: str) -> str:
    """Whether the role may change the rows of a table."""
    rights = "'INSERT, UPDATE, DELETE, TRUNCATE'"
    return f"SELECT has_table_privilege({regclass(name)}, {rights})"


def columns(name: str) -> str:
    """The columns of a table, domains resolved to the types beneath them."""
    return f"""
WITH RECURSIVE resolved AS (
    SELECT attnum, attname, atttypid AS type, atttypmod AS modifier
    FROM pg_attribute
    WHERE attrelid = {regclass(name)} AND attnum > 0 AND NOT attisdropped
  UNION ALL
    SELECT attnum, attname, typbasetype, greatest(modifier, typtypmod)
    FROM resolved JOIN pg_type ON oid = type WHERE typtype = 'd'
)
SELECT attname, typname, typnamespace = 'pg_catalog'::regnamespace, modifier,
       scale(0::money::numeric)
FROM resolved JOIN pg_type ON oid = type WHERE typtype <> 'd' ORDER BY attnum"""


def key_bounds(name: str, key: str) -> str:
    """The lowest and highest key, and the planner's estimate of the rows."""
    return (
        f"{_BOUNDS}SELECT min({identifier(key)}), max({identifier(key)}), "
        f"(SELECT reltuples::int8 FROM pg_class WHERE oid = {regclass(name)}) "
        f"FROM {qualified(name)}"
    )


def digests(
    name: str, columns: Sequence[Column], blocks: "BlockSql", where: str
) -> str:
    """Number, rows and digest of each block of the rows that match *where*.

    The text of a row is injective, so values cannot move unseen between columns; the
    hash is not linear, so values swapped between rows cannot cancel out in the sum.
    """
    row = f"ROW({','.join(identifier(column.name) for column in columns)})"
    return (
        f"{_BLOCKS}SELECT {blocks.number}, count(*), "
        f'sum(hashtextextended({row}::text COLLATE "C",0)) '
        f"FROM {qualified(name)} WHERE {where} GROUP BY 1"
    )


def ages(name: str, blocks: "BlockSql", xmin: int, where: str) -> str:
    """Number and rows of each block, and whether all of them are older than *xmin*.

    Transaction ids wrap around: both ages count back from the same one. The lowest age
    costs less than a comparison of each row.
    """
    all_old = f"min(age(xmin)) > age('{xmin % 2**32}'::xid)"
    return (
        f"{_BLOCKS}SELECT {blocks.number}, count(*), {all_old} "
        f"FROM {qualified(name)} WHERE {where} GROUP BY 1"
    )


def copy(name: str, columns: Sequence[Column], where: str) -> str:
    """The rows that match *where*, packed as `wire.decode` reads them."""
    fields = ",".join(column.sql for column in columns)
    return (
        f"COPY (SELECT {fields} FROM {qualified(name)} WHERE {where}) TO STDOUT "
        f"(FORMAT csv, DELIMITER '{SEPARATOR}', QUOTE '{QUOTE}', ENCODING 'UTF8')"
    )


class BlockSql:
    """SQL for the blocks of one table; `number` is the block of a row.

    It is NULL without a key, and for a day outside the calendar.
    """

    def __init__(self, columns: Sequence[Column], blocking: Blocking) -> None:
        self._blocking = blocking
        if blocking.key_kind is KeyKind.TIME:
            assert blocking.width == SECONDS_PER_DAY, "a block of time is a day"
            key = identifier(blocking.key)
            day = f"{key}::date - date '1970-01-01' + {DAYS_TO_1970}"
            self.number = f"CASE WHEN {in_calendar(key)} THEN {day} END"
        else:
            # What travels is a number of a type that an int8 can be compared with.
            self._key = next(c.sql for c in columns if c.name == blocking.key)
            # A shift rounds down; a division would put -1 and 1 into the same block.
            self.number = f"({self._key})::int8 >> {blocking.width.bit_length() - 1}"

    def within(self, numbers: Sequence[int | None]) -> str:
        """SQL that is true for the rows of the blocks called *numbers*, and no others."""
        known = sorted(number for number in numbers if number is not None)
        alternatives = [f"({self.number}) IS NULL"] if None in numbers else []
        ranges = list(_ranges(known))
        if self._blocking.key_kind is KeyKind.TIME or len(ranges) > MOST_RANGES:
            # Days often have no index: one hashed list, no comparison with each range.
            listed = ",".join(map(str, known))
            alternatives.append(f"({self.number}) = ANY('{{{listed}}}'::int8[])")
        else:
            alternatives += [self._between(first, last) for first, last in ranges]
        return " OR ".join(alternatives) or "FALSE"

    def in_range(self, block_range: BlockRange) -> str:
        """SQL that is true for the rows of *block_range*."""
        bounds = []
        if block_range.first is not None:
            bounds.append(self._bound(">=", block_range.first))
        if block_range.last is not None:
            bounds.append(self._bound("<=", block_range.last))
        inside = " AND ".join(bounds) or "TRUE"
        if block_range.first is not None or not bounds:
            return inside
        return f"({inside}) OR ({self.number}) IS NULL"

    def _bound(self, comparison: str, block: int) -> str:
        if self._blocking.key_kind is KeyKind.TIME:
            return f"({self.number}) {comparison} {block}"
        first, last = self._edges(block, block)
        edge = first if comparison == ">=" else last
        return f"{self._key} {comparison} {_bigint(edge)}"

    def _between(self, first: int, last: int) -> str:
        low, high = self._edges(first, last)
        return f"{self._key} BETWEEN {_bigint(low)} AND {_bigint(high)}"

    def _edges(self, first: int, last: int) -> tuple[int, int]:
        return first * self._blocking.width, (last + 1) * self._blocking.width - 1


def _bigint(value: int) -> str:
    # As a plain number, -9223372036854775808 would be numeric, which no index serves.
    return f"'{value}'::int8"


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of ascending *numbers*."""
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
