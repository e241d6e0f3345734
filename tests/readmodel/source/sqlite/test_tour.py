"""A tour of SQLite: every declared type with every kind of value, and every pragma.

SQLite has no catalog of types, and stores any value in any column. So the types are
those of its documentation, those that this project knows, and STRICT's. Python's
sqlite3 says what a file holds. The copy holds the same, or the sync refuses in one
line that names the table, the column and the key.

The values of pragmas come from SQLite's own list. TEST_EFFORT=thorough tries all combinations.
"""

import math
import random
import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source.blocking import choose_blocking
from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite.file import DatabaseFile
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import Table
from tests.support.effort import THOROUGH, bounded, by_effort, fewer
from util.errors import SourceError

DECLARED = (
    "", "INT", "INTEGER", "TINYINT", "TINYINT(1)", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT",
    "BIGINT UNSIGNED", "INT2", "INT8", "BIG INT", "BOOL", "BOOLEAN", "CHARACTER(20)", "VARCHAR(255)",
    "VARYING CHARACTER(255)", "NCHAR(55)", "NATIVE CHARACTER(70)", "NVARCHAR(100)", "TEXT", "CLOB", "ANY",
    "JSON", "JSONB", "UUID", "STRING", "POINT", "FLOATING POINT", "BLOB", "BINARY(3)", "VARBINARY(9)", "REAL",
    "FLOAT", "FLOAT(5)", "DOUBLE", "DOUBLE PRECISION", "NUMERIC", "DECIMAL", "DECIMAL(10)", "DECIMAL(4,2)",
    "NUMERIC(20,6)", "DECIMAL(38,10)", "DECIMAL(60,2)", "DATE", "TIME", "DATETIME", "TIMESTAMP", "DATETIME(6)",
    "timestamp without time zone", "odd type (1, 2)", "ENUM",
)  # fmt: skip
STRICT = ("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY")

TEXTS = (
    "", " ", "0", "1", "-1", "007", "1.5", "1e3", "abc", "tab\there", "line\nfeed", "\r", "\r\n", "\x01", "\x01\x01",
    "a\0b", '"', "'", "\\N", "NULL", "misfit", "no date", "Ä", "日本語 👩‍💻", "\ufffd", "\ufeff", "x" * 70_000,
    "2024-02-29", "0001-01-01", "9999-12-31", "0000-00-00", "0000-01-01", "2023-02-31", "10000-01-01", "-4713-11-24",
    "2024-02-29 12:34:56", "2024-02-29T12:34:56Z", "2024-02-29 12:34:56.789012", "2024-02-29 12:34:56.7890129",
    "2024-02-29 12:34", "2024-02-29 24:00:00", "2024-02-29 23:59:60", "2024-02-29 12:34:56+02:00", "2024-02-29 ",
    "9999-12-31 23:59:59.999999", "0001-01-01 00:00:00", "20240229", "2024-060", "2024-2-9", "2024-02-29Z",
    "2024-02-29 12:34:56 Z", "2024-02-29T", "2024-02-29 12:61:00", "12:34:56", "inf", "nan", "2024-02-29 12:34:56,5",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 7, 127, 128, 255, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63),
    99, 100, 1_700_000_000, 0.0, -0.0, 1.0, 1.5, 0.1, 0.1 + 0.2, 99.99, 99.999, -99.99, 1e15 / 3, 1e22, 1.5e300,
    1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, math.inf, -math.inf, math.nan, 2460370.5,
)  # fmt: skip
BLOBS = (
    b"",
    b"\0",
    b"abc",
    b"\xff\xfe",
    b"1",
    b"2024-02-29",
    b"a\x01\tb\n",
    bytes(range(256)),
)
# As text, whatever the encoding: bytes that are not UTF-8, which SQLite takes.
BROKEN = ("61ff62", "ff", "c3", "eda080", "01ff01", "f4908080")
DICE = random.Random(1)


def values() -> Iterator[str]:
    """Every value as an SQL expression."""
    yield "NULL"
    yield from (f"text(x'{text.encode().hex()}')" for text in TEXTS)
    yield from map(number_sql, NUMBERS)
    yield from (f"x'{blob.hex()}'" for blob in BLOBS)
    yield from (f"CAST(x'{text}' AS TEXT)" for text in BROKEN)
    for _ in range(200 if THOROUGH else 20):
        (value,) = struct.unpack("d", DICE.randbytes(8))
        yield number_sql(value)


def number_sql(value: float) -> str:
    """A literal; SQLite reads 17 digits less exactly than Python, so it is bound."""
    if isinstance(value, int):
        return str(value) if value > -(2**63) else "(-9223372036854775807 - 1)"
    return f"bits({int.from_bytes(struct.pack('>d', value), signed=True)})"


def bits(number: int) -> float:
    """The floating-point number with these 64 bits."""
    (value,) = struct.unpack(">d", number.to_bytes(8, signed=True))
    return float(value)


class Refused:
    """A value that no copy of its column can hold."""


class Counted:
    """A day that no calendar has: NULL, and counted."""


@dataclass(frozen=True)
class Stored:
    """A value as Python's sqlite3 reads it: its class, itself, and as text and bytes."""

    id: int
    kind: str
    value: Any
    text: bytes | None
    bytes: bytes | None


def plainly(connection: sqlite3.Connection, table: str = "things") -> list[Stored]:
    """All rows, by a statement that has nothing to do with ours."""
    connection.text_factory = bytes
    try:
        return [
            Stored(key, kind.decode(), value, text, raw)
            for key, kind, value, text, raw in connection.execute(
                f"SELECT id, typeof(v), v, CAST(v AS TEXT), CAST(v AS BLOB) FROM {table} ORDER BY id"
            )
        ]
    finally:
        connection.text_factory = str


def expected(dtype: pl.DataType, stored: Stored) -> Any:
    """What the copy holds for a stored value, or Refused or Counted."""
    if stored.kind == "null":
        return None
    number: float | None = None
    if stored.kind in ("integer", "real"):
        number = stored.value
    match dtype:
        case pl.Int64():
            return number if stored.kind == "integer" else Refused
        case pl.Boolean():
            return bool(number) if number in (0, 1) else Refused
        case pl.Float64():
            return (
                Refused if number is None or float(number) != number else float(number)
            )
        case pl.Decimal(precision=precision, scale=scale):
            return exact_decimal(number, precision, scale)
        case pl.Date() | pl.Datetime():
            return instant(stored, dtype)
        case pl.Binary():
            if stored.kind == "integer":
                return str(number).encode()
            return number if stored.kind == "real" else stored.bytes
    assert dtype == pl.String()
    if stored.kind == "real":
        return number
    assert stored.text is not None
    return stored.text.decode(errors="replace")


def exact_decimal(value: float | None, precision: int, scale: int) -> Any:
    """A number that has no more digits than declared, as SQLite itself writes it."""
    if value is None or not math.isfinite(value):
        return Refused
    for text in (repr(value), f"{value:.15g}"):
        exact = Decimal(text)
        _, digits, exponent = exact.normalize(Context(prec=400)).as_tuple()
        assert isinstance(exponent, int)
        if -exponent <= scale and len(digits) + exponent <= precision - scale:
            return exact
    return Refused


_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})0*)?Z?)?"
)


def instant(stored: Stored, dtype: pl.DataType) -> Any:
    """A date or a time in UTC, in one of the forms that SQLite's own functions write."""
    text = (stored.text or b"").decode(errors="replace")
    found = _INSTANT.fullmatch(text)
    if stored.kind != "text" or not found:
        return Refused
    year, month, day, *clock = found.groups(default="0")
    hours, minutes, seconds, fraction = clock
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return Refused
    try:
        midnight = datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return Counted
    time = timedelta(
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds),
        microseconds=int(fraction.ljust(6, "0")),
    )
    if dtype == pl.Date():
        return midnight.date() if len(text) == 10 else Refused
    return midnight + time if len(text) > 10 else Refused


def same(found: Any, wanted: Any) -> bool:
    """Whether the copy holds what is wanted; a number as text reads back as itself."""
    if wanted is Counted:
        return found is None
    if isinstance(found, bytes) and isinstance(wanted, float):
        # Digits in the encoding of the file.
        found = found.replace(b"\0", b"").decode()
    if isinstance(wanted, float) and isinstance(found, str):
        return repr(float(found)) == repr(wanted)
    if isinstance(wanted, str):
        # SQLite takes these two for an error where it converts from UTF-16.
        wanted = re.sub("[\ufffe\uffff]", "\ufffd", wanted)
    if isinstance(wanted, Decimal | datetime):
        return bool(found == wanted)
    return repr(found) == repr(wanted)


@dataclass(frozen=True)
class Copy:
    """What one view gives of a table, read block by block."""

    frame: pl.DataFrame
    zero_dates: int
    repaired_texts: int


def read(path: Path, table: Table) -> Copy:
    """All rows; each block has the number that its rows have."""
    with SqliteSource(path).view([table]) as view:
        columns = view.columns(table)
        blocking = choose_blocking(table, columns)
        if columns and blocking.key_kind.name == "NUMBER":
            view.key_bounds(table)
        blocks = view.blocks(table, columns, blocking)
        frames = [pl.DataFrame(schema={c.name: c.dtype for c in columns})]
        zero_dates = repaired = 0
        for block in blocks:
            for batch in view.rows(table, columns, blocking, [block]):
                numbers = batch.frame.select(blocking.block_number()).to_series()
                assert set(numbers) == {block.number}
                frames.append(batch.frame)
                zero_dates += batch.zero_dates
                repaired += batch.repaired_texts
    assert sum(block.rows for block in blocks) == sum(f.height for f in frames)
    return Copy(pl.concat(frames).sort("id"), zero_dates, repaired)


class Tour:
    """One file, and a table `things` in it that is made again for each type."""

    def __init__(self, path: Path, encoding: str = "UTF-8") -> None:
        self.path = path
        self.connection = sqlite3.connect(path, autocommit=True)
        self.connection.create_function("bits", 1, bits, deterministic=True)
        self.connection.create_function("text", 1, bytes.decode, deterministic=True)
        self.run(
            f"PRAGMA encoding = '{encoding}'",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
        )

    def run(self, *statements: str) -> None:
        """Execute statements."""
        for statement in statements:
            self.connection.execute(statement)

    def dtype(self, key: str) -> pl.DataType | None:
        """The dtype of the column; None if the table cannot have this key."""
        table = Table("things", key)
        with SqliteSource(self.path).view([table]) as view:
            columns = view.columns(table)
            try:
                choose_blocking(table, columns)
            except SourceError:
                return None
            return columns[1].dtype

    def fill(self, create: str) -> None:
        """Insert every value that the table takes, with an id of its own."""
        self.run("DROP TABLE IF EXISTS things", create)
        self.run("BEGIN")
        for number, value in enumerate(values(), 1):
            try:
                self.run(f"INSERT INTO things (id, v) VALUES ({number}, {value})")
            except sqlite3.IntegrityError:
                continue
        self.run("COMMIT")

    def compare(self, key: str = "id", most_refusals: int = 3) -> int:
        """How many values were copied exactly; the others are refused one by one."""
        dtype = self.dtype(key)
        if dtype is None:
            return 0
        wanted = {row.id: expected(dtype, row) for row in plainly(self.connection)}
        refused = [number for number, value in wanted.items() if value is Refused]
        self.run("CREATE TEMP TABLE kept AS SELECT * FROM things")
        for number in bounded(refused, most_refusals):
            self.run(f"DELETE FROM things WHERE id NOT IN (1, {number})")
            self._assert_refused(key, number)
            self.run("DELETE FROM things", "INSERT INTO things SELECT * FROM kept")
        if refused:
            self.run(f"DELETE FROM things WHERE id IN ({','.join(map(str, refused))})")
        self.run("DROP TABLE kept")
        return self._assert_equal(key, wanted)

    def _assert_equal(self, key: str, wanted: dict[int, Any]) -> int:
        copy = read(self.path, Table("things", key))
        rows = sorted(copy.frame.select("id", "v").rows())
        left = {n: value for n, value in wanted.items() if value is not Refused}
        assert [row[0] for row in rows] == list(left)
        wrong = [(n, v, left[n]) for n, v in rows if not same(v, left[n])]
        assert not wrong
        assert copy.zero_dates == list(left.values()).count(Counted)
        return len(left)

    def _assert_refused(self, key: str, number: int) -> None:
        with pytest.raises(SourceError) as raised:
            read(self.path, Table("things", key))
        message = str(raised.value)
        assert not isinstance(raised.value, PassingFault), message
        assert "\n" not in message
        where = f"where id is {number}:" if key == "id" else "where v is "
        assert "things.v has a value" in message, (message, number)
        assert where in message, (message, number)


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    """A fresh file."""
    made = Tour(tmp_path / "source.db")
    with closing(made.connection):
        yield made


def declarations() -> Iterator[tuple[str, str]]:
    """Each declared type as a CREATE TABLE."""
    for declared in DECLARED:
        yield declared, f"CREATE TABLE things (id INT, v {declared})"
    for declared in STRICT:
        yield (
            f"{declared}, strict",
            f"CREATE TABLE things (id INT, v {declared}) STRICT",
        )


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_every_declared_type_holds_what_the_file_holds(
    tmp_path: Path, encoding: str
) -> None:
    """Every value in every column, which may be the key as well."""
    tour = Tour(tmp_path / "source.db", encoding)
    keys = 0
    with closing(tour.connection):
        for name, create in bounded(
            list(declarations()),
            by_effort(30, 99) if encoding == "UTF-8" else 12,
        ):
            tour.fill(create)
            try:
                exact = tour.compare()
                tour.fill(create)
                keys += bool(tour.compare("v", most_refusals=2))
            except Exception as error:
                error.add_note(f"{name!r} in {encoding}")
                raise
            assert exact > 1, name
    assert keys > 2


RELATIONS = {
    "without rowid": "CREATE TABLE things (id INT PRIMARY KEY, v TEXT) WITHOUT ROWID",
    "key of text without rowid": "CREATE TABLE things (id INT, v TEXT PRIMARY KEY) WITHOUT ROWID",
    "rowid": "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT UNIQUE)",
    "collation": "CREATE TABLE things (id INT COLLATE NOCASE, v TEXT COLLATE RTRIM UNIQUE)",
    "stored column": "CREATE TABLE things (id INT, w TEXT, v TEXT AS (upper(w)) STORED)",
    "virtual column": "CREATE TABLE things (id INT, w TEXT, v TEXT AS (w || 'x'))",
    "column without a type": "CREATE TABLE things (id INT, w TEXT, v AS (length(w) / 3.0))",
    "view": "CREATE TABLE t (id INT, w TEXT); CREATE VIEW things AS SELECT id, w AS v, id * 1.5 AS x FROM t",
    "view of expressions": "CREATE TABLE t (id INT, w TEXT); CREATE VIEW things (id, v) AS SELECT id, "
    "CASE id % 3 WHEN 0 THEN w WHEN 1 THEN id / 3.0 ELSE x'ff' END FROM t",
    "index": "CREATE TABLE things (id INT, v TEXT); CREATE INDEX partial ON things (id DESC) WHERE id > 3; "
    "CREATE INDEX expression ON things (lower(v))",
    "odd names": 'CREATE TABLE things (id INT, v TEXT, "se""lect" TEXT DEFAULT 1, "^.*$" INT DEFAULT 2, "*" '
    "INT DEFAULT 3, rowid TEXT, block INT, _rowid_ INT, typeof TEXT)",
    "full text": "CREATE VIRTUAL TABLE things USING fts5 (id, v)",
    "older full text": "CREATE VIRTUAL TABLE things USING fts4 (id, v)",
}  # fmt: skip


@pytest.mark.parametrize("create", RELATIONS.values(), ids=RELATIONS)
def test_every_kind_of_relation_is_read_as_select_reads_it(
    tour: Tour, create: str
) -> None:
    """Tables of any kind, generated columns, views and virtual tables."""
    tour.run(*create.split("; "))
    target = "t (id, w)" if "TABLE t " in create else "things (id, v)"
    target = "things (id, w)" if " w TEXT, v" in create else target
    for number in range(1, 30):
        tour.run(f"INSERT INTO {target} VALUES ({number}, 'aB{number}  ')")
    table = Table("things", "id")
    if "fts" in create:
        # Their columns have no type, so no column of theirs can be a key.
        with pytest.raises(SourceError, match=r"things\.id holds String"):
            read(tour.path, table)
        return
    dtype = pl.String()
    found = read(tour.path, table).frame.select("id", "v").rows()
    wanted = {row.id: expected(dtype, row) for row in plainly(tour.connection)}
    assert len(found) == len(wanted) == 29
    assert all(same(value, wanted[number]) for number, value in found)


def attempt(path: Path) -> tuple[str | None, int]:
    """Why `things` is refused, or how many rows it has."""
    try:
        return None, read(path, Table("things", "id")).frame.height
    except SourceError as error:
        return str(error), 0


def test_the_virtual_tables_of_sqlite_are_read_or_refused_in_one_line(
    tour: Tour,
) -> None:
    """Each module of the list that makes a table without arguments, and rtree's."""
    modules = [
        name
        for (name,) in tour.connection.execute("SELECT name FROM pragma_module_list")
    ]
    read_ones = 0
    for module in sorted(modules):
        arguments = "(id, low, high)" if module.startswith("rtree") else ""
        try:
            tour.run(f'CREATE VIRTUAL TABLE things USING "{module}" {arguments}')
        except sqlite3.Error:
            continue
        message, rows = attempt(tour.path)
        if message is None:
            assert rows == len(
                tour.connection.execute("SELECT * FROM things").fetchall()
            )
            read_ones += 1
        else:
            assert "things" in message
            assert "\n" not in message
        tour.run("DROP TABLE things")
    assert read_ones >= 1


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        ("CREATE TABLE things (id INT, v TEXT AS (bits(id)))", "bits"),
        ("CREATE VIEW things AS SELECT 1 AS id, bits(1) AS v", "bits"),
        ("CREATE TABLE t (id INT); CREATE VIEW things AS SELECT * FROM t; DROP TABLE t", "t"),
        ("CREATE VIEW things AS SELECT 1 AS id, x'61' COLLATE odd AS v ORDER BY 2", "odd"),
    ],
)  # fmt: skip
def test_what_only_its_application_can_read_is_refused_with_the_tables_name(
    tour: Tour, create: str, reason: str
) -> None:
    """Functions and collations of the application's own, and views of what is gone."""
    tour.connection.create_collation("odd", lambda *_: 0)
    tour.run(*create.split("; "))
    with suppress(sqlite3.OperationalError):
        tour.run("INSERT INTO things (id) VALUES (1)")
    with pytest.raises(SourceError) as raised:
        read(tour.path, Table("things", "id"))
    message = str(raised.value)
    assert message.startswith("things in SQLite file ")
    assert reason in message.partition("cannot be read")[2]
    assert "\n" not in message
    assert not isinstance(raised.value, PassingFault)


# They belong to the process, or do something instead of setting something.
NO_SETTINGS = {
    "hard_heap_limit", "soft_heap_limit", "temp_store_directory", "data_store_directory",
    "wal_checkpoint", "incremental_vacuum", "shrink_memory", "optimize",
}  # fmt: skip
ODD = (
    "0", "1", "-1", "2", "3", "512", "65536", "2147483647", "-9223372036854775808", "on", "off", "nonsense", "''",
    "'UTF-8'", "'UTF-16le'", "'UTF-16be'", "delete", "truncate", "persist", "memory", "wal", "exclusive", "normal",
    "extra", "full", "incremental", "reset", "file",
)  # fmt: skip


# Those that change most are tried with every value, others in turn with some.
DECISIVE = {"encoding", "journal_mode", "case_sensitive_like", "locking_mode"}
STRIDE = 1 if THOROUGH else 6


def pragmas() -> list[str]:
    """The statement for each pragma and each odd value."""
    with closing(sqlite3.connect(":memory:")) as connection:
        listed = connection.execute("SELECT name FROM pragma_pragma_list ORDER BY 1")
        names = [name for (name,) in listed if name not in NO_SETTINGS]
    return [
        f"PRAGMA {name} = {value}"
        for number, name in enumerate(names)
        for value in (ODD if name in DECISIVE else ODD[number % STRIDE :: STRIDE])
    ]


FILL = """
CREATE TABLE things (id INTEGER PRIMARY KEY, v TEXT, w REAL, t TIMESTAMP, b BLOB);
INSERT INTO things VALUES (1, 'Ä a', 0.1, '2024-02-29 12:34:56', x'00ff'), (2, 'a', 1e300, NULL, NULL),
  (3, 'A', 5, '2023-02-31 00:00:00', x''), (70000, '', -0.0, '0001-01-01 00:00:00', x'01');
"""


def complete(path: Path) -> bool:
    """Whether the application could fill its table, which some pragmas prevent."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.Error):
        return bool(connection.execute("SELECT count(*) = 4 FROM things").fetchone()[0])
    return False


@pytest.mark.long("test_no_pragma_of_a_connection_changes_what_is_read")
def test_no_pragma_of_a_database_changes_what_is_read(tmp_path: Path) -> None:
    """Set by the application before it creates its tables, and again before it leaves."""
    wanted, tried = None, 0
    for number, pragma in enumerate(pragmas()):
        path = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(path, autocommit=True)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            for step in (pragma, FILL, pragma):
                with suppress(sqlite3.Error):
                    connection.executescript(step)
        if not complete(path):
            continue
        tried += 1
        copy = read(path, Table("things", "id"))
        wanted = wanted or copy
        assert copy.frame.equals(wanted.frame), pragma
        path.unlink()
    assert wanted
    assert tried > 100
    assert wanted.frame.height == 4
    assert wanted.zero_dates == 1


def test_no_pragma_of_a_connection_changes_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where SQLite was built with other defaults than ours."""
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path, autocommit=True)) as connection:
        connection.executescript(FILL)
    wanted = read(path, Table("things", "id"))
    connect = DatabaseFile.connect
    for pragma in fewer(pragmas(), 30):

        def odd(
            self: DatabaseFile, is_locked: bool, pragma: str = pragma
        ) -> sqlite3.Connection:
            connection = connect(self, is_locked)
            with suppress(sqlite3.Error):
                connection.execute(pragma).fetchall()
            return connection

        monkeypatch.setattr(DatabaseFile, "connect", odd)
        assert read(path, Table("things", "id")).frame.equals(wanted.frame), pragma
