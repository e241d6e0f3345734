"""SQL for blocks, compared as text and computed by MariaDB."""

from contextlib import closing

import polars as pl
import pytest

from readmodel.source.blocking import Block, Blocking, BlockRange, KeyKind
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import CatalogColumn, encode
from readmodel.source.wire import Column
from testbed.mariadb import Database

IDS = Blocking("id", KeyKind.NUMBER, 16_384)
DAYS = Blocking("v", KeyKind.TIME, 86_400)


def declared(name: str, kind: str, *, nullable: bool = True) -> list[Column]:
    """One column of a table."""
    column = encode(CatalogColumn(name, kind, None, nullable))
    assert column is not None
    return [column]


ID, DAY = declared("id", "int"), declared("v", "datetime")
BLOCK_OF: dict[int | None, int | None] = {
    -16_385: -2, -1: -1, 0: 0, 16_383: 0, 16_384: 1, 49_152: 3
}  # fmt: skip
BOTH_ENDS = [(None, None), (None, 0), (0, None), (-1, 1)]


def test_a_date_without_month_or_day_has_no_block_number() -> None:
    """Neither where blocks are counted nor where their rows are selected."""
    in_blocks = sql.in_blocks(DAY, DAYS, [Block(740_000, 1, 0), Block(None, 1, 0)])
    for text in (sql.block_number(DAY, DAYS), in_blocks):
        assert "MONTH(`v`) AND DAYOFMONTH(`v`)" in text
        assert "TO_SECONDS(`v`),NULL)" in text


def test_a_timestamp_is_not_checked_for_its_day() -> None:
    """The server accepts only days that exist, and the check takes time on every row."""
    text = sql.block_number(declared("v", "timestamp"), DAYS)
    assert text == "TO_SECONDS(`v`) DIV 86400"


@pytest.mark.parametrize(
    ("dtype", "key", "number"),
    [
        (pl.Int64(), -(2**63), -(2**49)),
        (pl.Int64(), -16_385, -2),
        (pl.Int64(), -16_384, -1),
        (pl.Int64(), -1, -1),
        (pl.Int64(), 0, 0),
        (pl.Int64(), 16_383, 0),
        (pl.Int64(), 16_384, 1),
        (pl.Int64(), 2**63 - 1, 2**49 - 1),
        (pl.UInt64(), 2**64 - 1, 2**50 - 1),
    ],
)
def test_block_numbers_of_integers_are_rounded_down(
    database: Database, dtype: pl.DataType, key: int, number: int
) -> None:
    """MySQL shifts as unsigned 64 bits; only a signed key gets its sign back."""
    column = "bigint" if dtype.is_signed_integer() else "bigint unsigned"
    database.run(f"CREATE TABLE t (id {column})", f"INSERT INTO t VALUES ({key})")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql.block_number(ID, IDS)} FROM t")
        ((shifted,),) = cursor.fetchall()
    columns = [Column("id", dtype, "id", dtype)]
    assert sql.signed_number(shifted, columns, IDS) == number == key // IDS.width


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "(`id` BETWEEN 49152 AND 65535) AND `id` IS NOT NULL"),
        (
            [-1, 0, 1, 5],
            (
                "(`id` BETWEEN -16384 AND 32767 OR `id` BETWEEN 81920 AND 98303)"
                " AND `id` IS NOT NULL"
            ),
        ),
        ([None], "`id` IS NULL"),
        (
            [None, 0],
            "((`id` BETWEEN 0 AND 16383) AND `id` IS NOT NULL) OR `id` IS NULL",
        ),
    ],
)
def test_neighbouring_blocks_are_selected_as_one_range_of_keys(
    numbers: list[int | None], text: str
) -> None:
    """The rows without a key are selected apart."""
    assert sql.in_blocks(ID, IDS, [Block(number, 1, 0) for number in numbers]) == text


def test_a_day_is_selected_up_to_its_last_microsecond() -> None:
    """2026-01-02 is day 739983 of MySQL's calendar."""
    text = sql.in_blocks(DAY, DAYS, [Block(739_983, 1, 0)])
    first, last = "'2026-01-02 00:00:00'", "'2026-01-02 23:59:59.999999'"
    assert f"`v` BETWEEN {first} AND {last}" in text


@pytest.mark.parametrize(
    ("block_range", "text"),
    [
        (BlockRange(), "TRUE"),
        (BlockRange(None, 1), "(`id` <= 32767) OR `id` IS NULL"),
        (BlockRange(1, None), "(`id` >= 16384) AND `id` IS NOT NULL"),
        (
            BlockRange(-1, 1),
            "(`id` >= -16384 AND `id` <= 32767) AND `id` IS NOT NULL",
        ),
    ],
)
def test_a_range_without_a_first_block_includes_rows_without_a_key(
    block_range: BlockRange, text: str
) -> None:
    """They sort before all others."""
    assert sql.in_range(ID, IDS, block_range) == text


def test_a_key_that_cannot_be_null_is_not_compared_with_null() -> None:
    """The comparison would be repeated for each row. A day may not exist, so it is."""
    never = declared("id", "int", nullable=False)
    blocks = [Block(3, 1, 0)]
    assert sql.in_blocks(never, IDS, blocks) == "(`id` BETWEEN 49152 AND 65535)"
    assert sql.in_range(never, IDS, BlockRange(1, None)) == "(`id` >= 16384)"
    day = declared("v", "datetime", nullable=False)
    assert "IS NOT NULL" in sql.in_blocks(day, DAYS, [Block(739_983, 1, 0)])
    assert "IS NOT NULL" in sql.in_range(day, DAYS, BlockRange(739_983, None))


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    "numbers", [[0], [-1, 0], [1, 3], [None], [None, 0], [None, -1, 1]]
)
def test_what_blocks_leave_out_is_everything_else(
    database: Database, numbers: list[int | None], nullable: bool
) -> None:
    """A condition is false, never NULL, for rows that it does not select."""
    block_of = {**BLOCK_OF, None: None} if nullable else BLOCK_OF
    null = "" if nullable else " NOT NULL"
    database.run(f"CREATE TABLE t (id int{null})")
    columns = declared("id", "int", nullable=nullable)
    blocks = [Block(number, 1, 0) for number in numbers]
    conditions = [sql.in_blocks(columns, IDS, blocks)]
    conditions += [sql.in_range(columns, IDS, BlockRange(*ends)) for ends in BOTH_ENDS]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s)", [(key,) for key in block_of])
        for condition in conditions:
            cursor.execute(f"SELECT COUNT(*) FROM t WHERE ({condition})")
            ((selected,),) = cursor.fetchall()
            cursor.execute(f"SELECT COUNT(*) FROM t WHERE NOT ({condition})")
            ((others,),) = cursor.fetchall()
            assert selected + others == len(block_of), condition
        cursor.execute(f"SELECT id FROM t WHERE {conditions[0]}")
        found = {key for (key,) in cursor.fetchall()}
    assert found == {key for key, number in block_of.items() if number in numbers}
