"""Rows are fetched completely, also where the server cuts off a packed text."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from readmodel.source.blocking import choose_blocking
from readmodel.source.mysql.source import MysqlSource
from testbed.mariadb import Database, private_server
from tests.support.effort import some_long
from tests.support.mysql import THINGS, mirror, read_things
from util.errors import SourceError


def test_a_text_larger_than_a_packet_is_fetched_in_shares(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """The server cuts off a packed text at max_allowed_packet."""
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, at datetime, v longtext)"
    )
    adjustable_database.run(
        "INSERT INTO things SELECT seq, '2026-01-01', REPEAT('x\"', 40000) FROM seq_1_to_60"
    )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        for key in ("id", "at"):
            mirror(adjustable_database, tmp_path / key, [replace(THINGS, key=key)])
            assert read_things(tmp_path / key)["v"].to_list() == ['x"' * 40000] * 60
            assert sorted(read_things(tmp_path / key)["id"]) == list(range(1, 61))


@pytest.mark.parametrize("key", ["id", "at"])
def test_a_text_that_is_cut_off_between_two_rows_is_fetched_in_shares(
    adjustable_database: Database, tmp_path: Path, key: str
) -> None:
    """Such a text ends like a whole one; only the count of its rows is too low."""
    row = (
        "seq, '2026-01-01', REPEAT('x', 1024 - LENGTH('1000\t1767225600000000\t12\n'))"
    )
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, at datetime, v text)"
    )
    adjustable_database.run(f"INSERT INTO things SELECT {row} FROM seq_1000_to_3999")
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        mirror(adjustable_database, tmp_path, [replace(THINGS, key=key)])
    assert sorted(read_things(tmp_path)["id"]) == list(range(1000, 4000))


@pytest.mark.parametrize("key", ["id", "at"])
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("longtext", 1_500_000),
        ("longblob", 600_000),
        ("longblob", 1_500_000),
        ("longtext character set latin1", 1_500_000),
    ],
)
def test_a_row_larger_than_a_packet_is_mirrored(
    adjustable_database: Database, tmp_path: Path, key: str, kind: str, size: int
) -> None:
    """The server sends a column of any size, but no function's result beyond a packet."""
    adjustable_database.run(
        f"CREATE TABLE things (id int PRIMARY KEY, at date, v {kind})"
    )
    adjustable_database.run(
        f"INSERT INTO things VALUES (1, '2026-01-01', REPEAT('x', {size})), "
        "(2, '2026-01-01', 'y'), (3, '2026-01-02', NULL)"
    )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        tables = [replace(THINGS, key=key)]
        mirror(adjustable_database, tmp_path, tables)
        values = read_things(tmp_path).sort("id")["v"].cast(pl.Binary).to_list()
        assert values == [b"x" * size, b"y", None]
        adjustable_database.run("UPDATE things SET v = CONCAT(v, 'z') WHERE id = 2")
        assert mirror(adjustable_database, tmp_path, tables).rows_fetched > 0


def test_more_rows_of_one_day_than_a_query_takes_are_fetched(
    database: Database, tmp_path: Path
) -> None:
    """A bulk load gives the same timestamp to many rows."""
    database.run("CREATE TABLE things (id datetime, n int)")
    database.run("INSERT INTO things SELECT '2026-01-01', seq FROM seq_1_to_90000")
    mirror(database, tmp_path)
    assert sorted(read_things(tmp_path)["n"]) == list(range(1, 90_001))


def test_a_change_in_a_table_without_transactions_is_noticed() -> None:
    """A row that is inserted between the count and the fetch raises an error."""
    with private_server() as server:
        server.root.run("CREATE DATABASE m")
        login = server.root
        login.run(
            "CREATE TABLE m.things (id int) ENGINE=MyISAM",
            "INSERT INTO m.things VALUES (1)",
        )
        source = MysqlSource(login.host, login.port, login.user, login.password, "m")
        with source.view() as view:
            columns = view.columns(THINGS)
            blocking = choose_blocking(THINGS, columns)
            blocks = view.blocks(THINGS, columns, blocking)
            login.run("INSERT INTO m.things VALUES (2)")
            with pytest.raises(
                SourceError, match="fetched 2 rows where 1 were counted"
            ):
                list(view.rows(THINGS, columns, blocking, blocks))


@pytest.mark.long("test_more_rows_of_one_day_than_a_query_takes_are_fetched")
@pytest.mark.parametrize("key", some_long(["id", "at"]))
def test_many_identical_rows_are_fetched(
    adjustable_database: Database, tmp_path: Path, key: str
) -> None:
    """Nothing parts them into smaller texts, so they come one by one."""
    adjustable_database.run("CREATE TABLE things (id int, at date, v varchar(40))")
    adjustable_database.run(
        "INSERT INTO things SELECT 7, '2026-01-01', REPEAT('v', 33) FROM seq_1_to_60000"
    )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        mirror(adjustable_database, tmp_path, [replace(THINGS, key=key)])
    rows = read_things(tmp_path)
    assert (rows.height, rows["v"].n_unique()) == (60_000, 1)


@pytest.mark.parametrize("character", ["\x01", '"', "\\", "\t", "\x02", "é"])
def test_a_long_text_of_any_character_costs_no_more_than_another(
    database: Database, tmp_path: Path, character: str
) -> None:
    """An escape by REPLACE took minutes of the server's time for 2 MB."""
    database.run("CREATE TABLE things (id int PRIMARY KEY, v longtext)")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO things VALUES (1, REPEAT(%s, 1000000)), (2, '')",
            (f"{character}=",),
        )
    started = time.monotonic()
    for _ in range(2):
        mirror(database, tmp_path)
    assert time.monotonic() - started < 60
    assert read_things(tmp_path)["v"].to_list() == [f"{character}=" * 10**6, ""]


def test_a_blob_whose_digits_exceed_a_packet_is_mirrored(
    database: Database, tmp_path: Path
) -> None:
    """9 MB with a packet of 16 MB; its digest notices a change."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v longblob, w longblob)",
        "INSERT INTO things VALUES (1, REPEAT('x', 9000000), REPEAT('y', 9000000)), "
        "(2, NULL, '')",
    )
    mirror(database, tmp_path)
    assert mirror(database, tmp_path).rows_fetched == 0
    database.run("UPDATE things SET w = CONCAT(w, 'z') WHERE id = 1")
    mirror(database, tmp_path)
    assert read_things(tmp_path).rows() == [
        (1, b"x" * 9_000_000, b"y" * 9_000_000 + b"z"),
        (2, None, b""),
    ]
