"""SQLite as a source: its declared types, its texts for times, its errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source import sqlite
from readmodel.source.blocking import choose_blocking
from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite import SqliteSource
from readmodel.tables import Table
from util.errors import SourceError

THINGS = Table("things", key="id")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database that `read` reads; each statement is a transaction of its own."""
    with closing(sqlite3.connect(tmp_path / "source.db", autocommit=True)) as opened:
        yield opened


def read(tmp_path: Path) -> pl.DataFrame:
    """All rows of `things`, fetched block by block."""
    with SqliteSource(tmp_path / "source.db").view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        blocks = view.blocks(THINGS, columns, blocking)
        batches = view.rows(THINGS, columns, blocking, blocks)
        return pl.concat(batch.frame for batch in batches)


@pytest.mark.parametrize(
    ("declared", "stored", "dtype", "value"),
    [
        ("BOOLEAN", 1, pl.Boolean(), True),
        ("tinyint(1)", 0, pl.Boolean(), False),
        ("BIGINT", -(2**63), pl.Int64(), -(2**63)),
        ("DECIMAL(4,2)", 99.99, pl.Decimal(4, 2), Decimal("99.99")),
        ("numeric(20,6)", 5, pl.Decimal(20, 6), Decimal(5)),
        ("REAL", 0.1 + 0.2, pl.Float64(), 0.1 + 0.2),
        ("double precision", 5e-324, pl.Float64(), 5e-324),
        ("NVARCHAR(9)", 'a\t"\n\x01', pl.String(), 'a\t"\n\x01'),
        ("CLOB", "", pl.String(), ""),
        ("BLOB", b"\x00\xff", pl.Binary(), b"\x00\xff"),
        ("VARBINARY(9)", b"", pl.Binary(), b""),
        ("DATE", "2024-02-29", pl.Date(), date(2024, 2, 29)),
    ],
)
def test_every_declared_type_has_its_dtype(
    connection: sqlite3.Connection,
    tmp_path: Path,
    declared: str,
    stored: Any,
    dtype: pl.DataType,
    value: Any,
) -> None:
    """A NULL beside the value stays null."""
    connection.execute(f"CREATE TABLE things (id INT, v {declared})")
    connection.execute("INSERT INTO things VALUES (1, ?), (2, NULL)", [stored])
    rows = read(tmp_path)
    assert rows.schema["v"] == dtype
    assert rows["v"].to_list() == [value, None]


@pytest.mark.parametrize(
    "text", ["2026-01-02 03:04:05.678", "2026-01-02T03:04:05.678Z"]
)
def test_times_are_utc_text_in_either_usual_form(
    connection: sqlite3.Connection, tmp_path: Path, text: str
) -> None:
    """With a space, or in ISO 8601 with T and Z."""
    connection.execute("CREATE TABLE things (id INT, v TIMESTAMP)")
    connection.execute("INSERT INTO things VALUES (1, ?)", [text])
    expected = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert read(tmp_path)["v"].to_list() == [expected]


def test_rows_are_fetched_in_batches(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch ends with the block that fills it."""
    connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    keys = [block * 16_384 + n for block in range(5) for n in range(3)]
    connection.executemany("INSERT INTO things VALUES (?)", ([key] for key in keys))
    monkeypatch.setattr(sqlite, "ROWS_PER_BATCH", 6)
    with SqliteSource(tmp_path / "source.db").view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        blocks = view.blocks(THINGS, columns, blocking)
        frames = [b.frame for b in view.rows(THINGS, columns, blocking, blocks)]
    assert [frame.height for frame in frames] == [6, 6, 3]
    assert pl.concat(frames)["id"].to_list() == keys


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("POINT", "things.v is declared POINT, which the read model does not support"),
        ("", "things.v is declared without a type, which the read model does not"),
    ],
)
def test_an_unsupported_type_is_named(
    connection: sqlite3.Connection, tmp_path: Path, declared: str, message: str
) -> None:
    """The message has the declaration as it was written."""
    connection.execute(f"CREATE TABLE things (id INT, v {declared})")
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """It is not created."""
    with pytest.raises(SourceError, match=r"There is no SQLite file .*: check SOURCE"):
        read(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_an_error_without_retry(tmp_path: Path) -> None:
    """A retry would find the same file."""
    (tmp_path / "source.db").write_bytes(b"no database" * 100)
    with pytest.raises(SourceError, match=r"source.db cannot be read") as raised:
        read(tmp_path)
    assert not isinstance(raised.value, PassingFault)


def test_a_locked_file_is_a_passing_fault(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process ends its transaction sooner or later."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    connection.execute("CREATE TABLE things (id INT)")
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(PassingFault, match=r"source.db cannot be read: .*locked"):
        read(tmp_path)
