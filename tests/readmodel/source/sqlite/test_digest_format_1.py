"""A DATA_DIR with digests in format 1 is continued without a fetch of what is the same.

It was recorded: the earlier version synced the tables that `create` makes. To record it
again, let that version sync TABLES, and pack its DATA_DIR without `update.lock`.
"""

import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from readmodel.source.blocking import Block, choose_blocking
from readmodel.source.sqlite.digest_format_1 import earlier_blocks
from readmodel.source.sqlite.source import SqliteSource
from readmodel.sync.run import sync
from readmodel.sync.verify import verify
from readmodel.tables import Table

RECORDED = Path(__file__).parent / "digest_format_1.tar.gz"
THINGS, MOMENTS = Table("things", key="id"), Table("moments", key="at")
TABLES = [THINGS, MOMENTS]
ROWS = 16_400
"""So that `things` has two blocks."""


def create(path: Path) -> None:
    """Write both tables, with usual values and some odd ones."""
    first = datetime.fromisoformat("2024-02-28 23:00:00")
    with closing(sqlite3.connect(path, autocommit=True)) as connection:
        connection.execute(
            "CREATE TABLE things (id INTEGER PRIMARY KEY, name VARCHAR(20), "
            "price DECIMAL(6,2), weight REAL, is_new BOOLEAN, at TIMESTAMP, raw BLOB)"
        )
        connection.execute("CREATE TABLE moments (at TIMESTAMP, name TEXT)")
        connection.execute("BEGIN")
        for n in range(ROWS):
            odd = n % 5000 == 0
            at = "2023-02-31 00:00:00" if odd else str(first + timedelta(days=n % 9))
            name = 'a\tb\n"\\' if odd else None if n % 3 == 0 else f"name {n % 9}"
            raw = b"\0\xff" if odd else None
            row = (n, name, n % 8 / 10, n % 4 / 8, n % 2, at, raw)
            connection.execute("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for n in range(300):
            time = (first + timedelta(hours=n)).isoformat("T" if n % 50 == 0 else " ")
            moment = (None if n % 100 == 0 else time, f"v{n}")
            connection.execute("INSERT INTO moments VALUES (?, ?)", moment)
        connection.execute("COMMIT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database, beside the DATA_DIR `data` of the earlier version."""
    create(tmp_path / "source.db")
    with tarfile.open(RECORDED) as recorded:
        recorded.extractall(tmp_path, filter="data")
    return tmp_path / "source.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, open."""
    with closing(sqlite3.connect(path, autocommit=True)) as opened:
        yield opened


def fetched(path: Path) -> list[int]:
    """The rows that a sync of each table fetches, and after which nothing differs."""
    source, data = SqliteSource(path), path.parent / "data"
    report = sync(source, data, TABLES, lambda: datetime.now(UTC))
    for comparison in verify(source, data, TABLES):
        assert not comparison.differences
    return [table.counts.rows_fetched for table in report.tables]


def test_the_same_rows_are_not_fetched(path: Path) -> None:
    """The first sync stores them with new digests, the next one links the files."""
    data = path.parent / "data"
    names = [f"{table.name}.parquet" for table in TABLES]
    before = [pl.read_parquet(data / name) for name in names]
    assert fetched(path) == [0, 0]
    files = [(data / name / "part-00000.parquet").stat().st_ino for name in names]
    assert fetched(path) == [0, 0]
    assert [
        (data / name / "part-00000.parquet").stat().st_ino for name in names
    ] == files
    assert all(
        pl.read_parquet(data / name).equals(frame)
        for name, frame in zip(names, before, strict=True)
    )


def test_only_a_changed_block_is_fetched(
    path: Path, connection: sqlite3.Connection
) -> None:
    """The second block of ids, and one day."""
    connection.execute(f"UPDATE things SET name = 'x' WHERE id = {ROWS - 1}")
    connection.execute("UPDATE moments SET name = 'x' WHERE name = 'v2'")
    assert fetched(path) == [ROWS - 16_384, 24]


def test_a_digest_is_that_of_the_packed_rows(tmp_path: Path) -> None:
    """Computed here by hand, in the encoding of the file."""
    for encoding in ("UTF-8", "UTF-16le"):
        path = tmp_path / f"{encoding}.db"
        with closing(sqlite3.connect(path, autocommit=True)) as opened:
            opened.execute(f"PRAGMA encoding = '{encoding}'")
            opened.execute("CREATE TABLE things (id INT, v TEXT, at TIMESTAMP)")
            opened.execute(
                "INSERT INTO things VALUES (1, 'é' || char(1), '2026-01-02 03:04:05'), "
                "(2, 2.5, '2026-01-02T03:04:05Z'), (3, NULL, NULL), (4, '', '2023-02-31')"
            )
        packed = [
            "1\t\x01é\x01\x01\x01\t2026-01-02 03:04:05\n",
            "2\t\x012.5\x01\t2026-01-02 03:04:05\n",
            "3\t\t\n",
            "4\t\x01\x01\tno date\n",
        ]
        rows = [row.encode(encoding) for row in packed]
        digest = sum(zlib.crc32(str(zlib.crc32(row)).encode()) for row in rows)
        with SqliteSource(path).view() as view:
            columns = view.columns(THINGS)
            blocking = choose_blocking(THINGS, columns)
            query = view._query_of(THINGS)
            found = earlier_blocks(query, THINGS, columns, blocking)
            assert found == [Block(0, 4, digest)]
            renewed = view.renewed_blocks(THINGS, columns, blocking, ())
            assert list(renewed) == found
            assert list(renewed.values()) == view.blocks(THINGS, columns, blocking)
