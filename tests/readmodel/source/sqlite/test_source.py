"""SQLite as a source: its declared types, its texts for times, its errors."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source.blocking import choose_blocking
from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite import file
from readmodel.source.sqlite import source as sqlite
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import Table
from util.errors import SourceError, Stopped

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
        ("tinyint(1)", 7, pl.Int64(), 7),
        ("BIGINT", -(2**63), pl.Int64(), -(2**63)),
        ("INTEGER", 2**63 - 1, pl.Int64(), 2**63 - 1),
        ("SMALLINT UNSIGNED", 2**40, pl.Int64(), 2**40),
        ("INT8", -1, pl.Int64(), -1),
        ("POINT", "POINT(1 2)", pl.String(), "POINT(1 2)"),
        ("", "x", pl.String(), "x"),
        ("FLOAT", float("-inf"), pl.Float64(), float("-inf")),
        ("REAL", 7, pl.Float64(), 7.0),
        ("DECIMAL(60,2)", "12", pl.String(), "12"),
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
    ("declared", "stored", "kind"),
    [
        ("INTEGER", "seven", "an integer"),
        ("INTEGER", 1.5, "an integer"),
        ("INTEGER", b"1", "an integer"),
        ("BOOLEAN", 7, "0 or 1"),
        ("REAL", "a\tb\n", "a number"),
        ("DECIMAL(4,2)", "a", "a number"),
        ("DATE", "yesterday", "a date"),
        ("TIMESTAMP", 1_700_000_000, "a time in UTC"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_the_row(
    connection: sqlite3.Connection,
    tmp_path: Path,
    declared: str,
    stored: Any,
    kind: str,
) -> None:
    """SQLite stores any value in any column; none is read as something else."""
    connection.execute(f"CREATE TABLE things (id INT, v {declared})")
    connection.execute("INSERT INTO things VALUES (1, NULL), (2, ?)", [stored])
    message = rf"things\.v has a value that is not {kind}.* where id is 2: "
    with pytest.raises(SourceError, match=message) as raised:
        read(tmp_path)
    assert not isinstance(raised.value, PassingFault)


@pytest.mark.parametrize("declared", ["DATE", "TIMESTAMP"])
@pytest.mark.parametrize("day", ["0000-00-00", "2023-02-31", "2023-13-01"])
@pytest.mark.parametrize("as_key", [False, True])
def test_a_day_that_no_calendar_has_is_null_and_counted(
    connection: sqlite3.Connection,
    tmp_path: Path,
    declared: str,
    day: str,
    as_key: bool,
) -> None:
    """As a value and as the sync column."""
    text = day if declared == "DATE" else f"{day} 12:00:00"
    connection.execute(f"CREATE TABLE things (id INT, v {declared})")
    connection.execute("INSERT INTO things VALUES (1, ?)", [text])
    table = Table("things", key="v" if as_key else "id")
    with SqliteSource(tmp_path / "source.db").view() as view:
        columns = view.columns(table)
        blocking = choose_blocking(table, columns)
        blocks = view.blocks(table, columns, blocking)
        (batch,) = view.rows(table, columns, blocking, blocks)
    assert batch.frame["v"].to_list() == [None]
    assert batch.zero_dates == 1
    assert [block.number is None for block in blocks] == [as_key]


def test_text_that_is_not_utf_8_is_repaired_and_counted(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """The bytes that are not UTF-8 become U+FFFD."""
    connection.execute("CREATE TABLE things (id INT, v TEXT, w TEXT)")
    connection.execute(
        "INSERT INTO things VALUES (1, CAST(x'61ff62' AS TEXT), 'é'), (2, 'x', NULL)"
    )
    with SqliteSource(tmp_path / "source.db").view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        blocks = view.blocks(THINGS, columns, blocking)
        (batch,) = view.rows(THINGS, columns, blocking, blocks)
    assert batch.frame.rows() == [(1, "a\ufffdb", "é"), (2, "x", None)]
    assert batch.repaired_texts == 1


def test_columns_may_be_called_as_anything_in_our_statements(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """A column `block` is not taken for the number of a block."""
    connection.execute("CREATE TABLE things (id INT, block INT, digest TEXT)")
    rows = [(n * 16_384, n % 2, "x") for n in range(4)]
    connection.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
    assert read(tmp_path).rows() == rows


def test_an_exception_in_a_function_keeps_its_cause(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request to stop that arrives there is not taken for a fault of the database."""

    def stop(*_: object) -> str:
        raise Stopped("Stopped by SIGTERM")

    connection.execute("CREATE TABLE things (id INT, v REAL)")
    connection.execute("INSERT INTO things VALUES (1, 1e-9)")
    monkeypatch.setattr("readmodel.source.sqlite.functions._exact", stop)
    with pytest.raises(Stopped):
        read(tmp_path)


ENDLESS = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);"
    "CREATE VIEW things AS SELECT id FROM t, "
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
)


def test_a_signal_ends_a_statement_of_any_length(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """Its exception arrives, or, if it is lost in SQLite, a fault that may pass."""
    connection.executescript(ENDLESS)

    def stop(*_: object) -> None:
        raise Stopped("Stopped by SIGTERM")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with (  # noqa: PT012 - the signal may come before the statement begins
            SqliteSource(tmp_path / "source.db").view() as view,
            pytest.raises((Stopped, PassingFault)),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            view.key_bounds(THINGS)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_ends_the_wait_for_a_writer(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself waits without a look for signals."""
    connection.execute("CREATE TABLE things (id INT)")
    connection.execute("BEGIN EXCLUSIVE")
    waits = iter((False, False, True))

    def monotonic() -> float:
        if next(waits):
            raise Stopped("Stopped by SIGTERM")
        return 0.0

    monkeypatch.setattr("readmodel.source.sqlite.file.time.monotonic", monotonic)
    with (
        pytest.raises(Stopped),
        SqliteSource(tmp_path / "source.db").view(),
    ):
        pass


def test_a_writer_that_ends_is_waited_for(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as BUSY_SECONDS."""
    connection.execute("CREATE TABLE things (id INT)")
    connection.execute("BEGIN EXCLUSIVE")
    looks = 0

    def monotonic() -> float:
        nonlocal looks
        looks += 1
        if looks == 3:
            connection.execute("COMMIT")
        return 0.0

    monkeypatch.setattr("readmodel.source.sqlite.file.time.monotonic", monotonic)
    with SqliteSource(tmp_path / "source.db").view() as view:
        assert view.columns(THINGS)
    assert looks == 3


def in_wal_mode(tmp_path: Path) -> Path:
    """A database in WAL mode, whose application has closed it."""
    folder = tmp_path / "application"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "source.db", autocommit=True)) as opened:
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("CREATE TABLE things (id INT)")
        opened.execute("INSERT INTO things VALUES (1)")
    return folder


def test_a_file_in_wal_mode_is_read_from_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application is stopped: there is no -wal file, and the file is complete."""
    folder = in_wal_mode(tmp_path)
    assert not (folder / "source.db-wal").exists()
    monkeypatch.setattr("readmodel.source.sqlite.file.os.access", lambda *_: False)
    folder.chmod(0o555)
    assert read(folder).rows() == [(1,)]
    assert [path.name for path in folder.iterdir()] == ["source.db"]
    folder.chmod(0o755)


def test_changes_left_in_a_wal_file_are_not_overlooked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application was killed: the error says what to do."""
    folder = in_wal_mode(tmp_path)
    (folder / "source.db-wal").write_bytes(b"changes")
    monkeypatch.setattr("readmodel.source.sqlite.file.os.access", lambda *_: False)
    with pytest.raises(SourceError, match=r"source.db-wal.*wal_checkpoint"):
        read(folder)


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
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.01)
    connection.execute("CREATE TABLE things (id INT)")
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(PassingFault, match=r"source.db cannot be read: .*locked"):
        read(tmp_path)
