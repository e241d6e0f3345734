"""What only MySQL and MariaDB have: their types, sessions, limits and refusals."""

import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mysql.connector.errors import NotSupportedError

from readmodel.source.blocking import Block, Blocking, KeyKind, choose_blocking
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import Catalogued, column
from readmodel.source.mysql.errors import explained
from readmodel.source.mysql.source import MysqlSource, MysqlView
from readmodel.source.protocol import PassingFault
from readmodel.sync.run import Report, sync
from readmodel.tables import TABLES, Table
from testbed import schema
from testbed.mariadb import Database, Login, fresh_database, private_server
from util.errors import SourceError

THINGS = Table("things", key="id")


def source(database: Database) -> MysqlSource:
    reader = database.reader
    return MysqlSource(
        reader.host, reader.port, reader.user, reader.password, database.name
    )


def mirror(
    database: Database, data_dir: Path, tables: Sequence[Table] = (THINGS,)
) -> Report:
    return sync(source(database), data_dir, tables, lambda: datetime.now(UTC))


def things(data_dir: Path) -> pl.DataFrame:
    return pl.read_parquet(data_dir / "things.parquet")


# Declared type, dtype, then pairs of a literal and the value that it is.
TYPES: list[tuple[str, pl.DataType, dict[str, Any]]] = [
    ("tinyint", pl.Int8(), {"-128": -128, "127": 127}),
    ("tinyint(1)", pl.Boolean(), {"0": False, "1": True, "2": True}),
    ("tinyint unsigned", pl.UInt8(), {"255": 255}),
    ("smallint unsigned zerofill", pl.UInt16(), {"7": 7, "65535": 65535}),
    ("mediumint", pl.Int32(), {"-8388608": -8388608}),
    ("int unsigned", pl.UInt32(), {"4294967295": 4294967295}),
    ("bigint", pl.Int64(), {"-9223372036854775808": -(2**63)}),
    ("bigint unsigned", pl.UInt64(), {"18446744073709551615": 2**64 - 1}),
    ("decimal(38,30)", pl.Decimal(38, 30), {"-12345678.9": Decimal("-12345678.9")}),
    ("decimal(65,30)", pl.String(), {"1": "1." + 30 * "0"}),
    ("decimal(10,4)", pl.Decimal(10, 4), {"12345.6789": Decimal("12345.6789")}),
    ("float", pl.Float32(), {"0.1": 0.10000000149011612, "16777217": 16777216.0}),
    ("float(7,3)", pl.Float32(), {"1234.567": 1234.5670166015625}),
    ("double", pl.Float64(), {"0.1": 0.1, "1.7976931348623157e308": 1.7976931348623157e308}),
    ("double", pl.Float64(), {"5e-324": 5e-324, "0.30000000000000004": 0.1 + 0.2}),
    ("bit(1)", pl.UInt8(), {"b'0'": 0, "b'1'": 1}),
    ("bit(64)", pl.UInt64(), {"18446744073709551615": 2**64 - 1}),
    ("year", pl.Int16(), {"0": 0, "1901": 1901, "2155": 2155}),
    ("date", pl.Date(), {"'1000-01-01'": date(1000, 1, 1), "'9999-12-31'": date(9999, 12, 31)}),
    ("datetime", pl.Datetime("us", "UTC"), {"'2026-03-29 02:30:00'": datetime(2026, 3, 29, 2, 30, tzinfo=UTC)}),
    ("datetime(6)", pl.Datetime("us", "UTC"), {
        "'1000-01-01 00:00:00.000001'": datetime(1000, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "'9999-12-31 23:59:59.999999'": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    }),
    ("timestamp(3) null", pl.Datetime("us", "UTC"), {"'2038-01-19 03:14:07.999'": datetime(2038, 1, 19, 3, 14, 7, 999000, tzinfo=UTC)}),
    ("time", pl.Duration("us"), {"'-838:59:59'": -timedelta(hours=838, minutes=59, seconds=59)}),
    ("time(6)", pl.Duration("us"), {"'-00:00:00.500000'": timedelta(microseconds=-500000)}),
    ("char(5)", pl.String(), {"'x '": "x", "''": ""}),
    ("varchar(50) character set latin1", pl.String(), {"'naïve'": "naïve"}),
    ("varchar(50) character set utf16", pl.String(), {"'日本\"'": '日本"'}),
    ("longtext", pl.String(), {"'a\tb\nc\\\\\"\\'😀'": "a\tb\nc\\\"'😀"}),
    ("enum('a','b,\"c','')", pl.String(), {"'b,\"c'": 'b,"c', "''": ""}),
    ("set('a','b')", pl.String(), {"'b,a'": "a,b", "''": ""}),
    ("json", pl.String(), {"'{\"a\": [1, null]}'": '{"a": [1, null]}'}),
    ("binary(3)", pl.Binary(), {"'a'": b"a\x00\x00"}),
    ("varbinary(9)", pl.Binary(), {"x'00ff22'": b'\x00\xff"', "''": b""}),
    ("blob", pl.Binary(), {"'\\n\\t'": b"\n\t"}),
    ("point", pl.Binary(), {"point(1,2)": bytes.fromhex("000000000101000000000000000000f03f0000000000000040")}),
    ("uuid", pl.String(), {"'123e4567-e89b-12d3-a456-426655440000'": "123e4567-e89b-12d3-a456-426655440000"}),
    ("inet6", pl.String(), {"'::1'": "::1"}),
    ("inet4", pl.String(), {"'192.0.2.1'": "192.0.2.1"}),
    ("double unsigned", pl.Float64(), {"1.5": 1.5}),
    ("decimal(5,2) unsigned zerofill", pl.Decimal(5, 2), {"3.25": Decimal("3.25")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "dtype", "values"), TYPES, ids=lambda t: str(t)[:20]
)
def test_every_type_is_held_exactly(
    database: Database,
    tmp_path: Path,
    declared: str,
    dtype: pl.DataType,
    values: dict[str, Any],
) -> None:
    """At the ends of its range, and with a NULL beside it."""
    database.run(f"CREATE TABLE things (id int, v {declared})")
    for number, literal in enumerate([*values, "NULL"]):
        database.run(f"INSERT INTO things VALUES ({number}, {literal})")
    mirror(database, tmp_path)
    assert things(tmp_path).schema["v"] == dtype
    assert things(tmp_path)["v"].to_list() == [*values.values(), None]


@pytest.mark.parametrize(
    "declared", ["int", "varchar(9)", "datetime(6)", "float", "blob"]
)
def test_a_column_of_nulls_keeps_its_dtype(
    database: Database, tmp_path: Path, declared: str
) -> None:
    """Rows do not decide what a column is."""
    database.run(f"CREATE TABLE things (id int, v {declared})")
    database.run("INSERT INTO things VALUES (1, NULL), (2, NULL)")
    mirror(database, tmp_path)
    before = things(tmp_path).schema
    database.run("INSERT INTO things VALUES (3, 1)" if declared == "int" else "DO 0")
    mirror(database, tmp_path)
    assert things(tmp_path).schema == before
    assert things(tmp_path)["v"].null_count() == 2


def test_zero_dates_become_null_and_are_counted(
    database: Database, tmp_path: Path
) -> None:
    """All kinds of dates that no calendar holds; a NULL is not one of them."""
    zero = "'0000-00-00'"
    database.run(
        "CREATE TABLE things (id int, d date, t datetime(6), s timestamp null, "
        "m timestamp(3) null, k date not null)"
    )
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            f"INSERT INTO things VALUES (1, {zero}, {zero}, {zero}, {zero}, {zero})"
        )
        cursor.execute(
            "INSERT INTO things VALUES (2, '2020-00-10', '2020-01-00', NULL, NULL, '2020-01-01')"
        )
    report = mirror(database, tmp_path)
    assert report.tables[0].zero_dates == 7
    assert things(tmp_path).rows() == [
        (1, None, None, None, None, None),
        (2, None, None, None, None, date(2020, 1, 1)),
    ]


def test_a_zero_date_as_the_key_is_mirrored(database: Database, tmp_path: Path) -> None:
    """It falls into the block of those without a key, and into no other."""
    database.run("CREATE TABLE things (id datetime NULL, n int)")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            "INSERT INTO things VALUES ('0000-00-00', 1), ('2020-00-00', 2), (NULL, 3), ('2019-12-31 23:59:59', 4), ('2020-01-01', 5)"
        )
    mirror(database, tmp_path)
    assert sorted(things(tmp_path)["n"]) == [1, 2, 3, 4, 5]
    database.run("DELETE FROM things WHERE n = 2")
    mirror(database, tmp_path)
    assert sorted(things(tmp_path)["n"]) == [1, 3, 4, 5]


@pytest.mark.parametrize("zone", ["+00:00", "+02:00", "-11:30", "+13:00"])
def test_the_servers_time_zone_does_not_matter(
    adjustable_database: Database, tmp_path: Path, zone: str
) -> None:
    """A timestamp is an instant, and the read model holds it in UTC."""
    database = adjustable_database
    with database.global_variable("time_zone", zone):
        with closing(database.connect()) as connection:
            schema.create_mysql(connection)
            rows = schema.fill(connection, seed=7, count=40)
        mirror(database, tmp_path, list(TABLES.values()))
    for name in TABLES:
        mirrored = pl.read_parquet(tmp_path / f"{name}.parquet").rows()
        assert sorted(mirrored, key=repr) == sorted(
            schema.expected(rows[name]), key=repr
        )


@pytest.mark.parametrize(
    "mode",
    [
        "ANSI_QUOTES",
        "NO_BACKSLASH_ESCAPES",
        "PAD_CHAR_TO_FULL_LENGTH",
        "ANSI,ORACLE",
        "TRADITIONAL",
    ],
)
def test_the_servers_sql_mode_does_not_matter(
    adjustable_database: Database, tmp_path: Path, mode: str
) -> None:
    """What the server takes for quotes, escapes and padding is set for the session."""
    database = adjustable_database
    database.run("CREATE TABLE things (id int, c char(5), v text)")
    database.run("INSERT INTO things VALUES (1, 'a', 'back\\\\slash \"q\" \\'s\\'')")
    with database.global_variable("sql_mode", mode):
        mirror(database, tmp_path)
    assert things(tmp_path).rows() == [(1, "a", "back\\slash \"q\" 's'")]


@pytest.mark.parametrize("key", ["id", "at"])
def test_columns_may_have_any_name(
    database: Database, tmp_path: Path, key: str
) -> None:
    """Also one that SQL reserves, and one that a query of ours might give a result."""
    names = ["select", "vector", "block", "part", "a`b", "c.d", 'e"f']
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    database.run(
        f"CREATE TABLE things (id int, at date, {' int, '.join(quoted)} int)",
        "INSERT INTO things SELECT seq, '2026-01-01' + INTERVAL seq DAY, "
        + ", ".join(f"seq % {number}" for number in range(2, 9))
        + " FROM seq_1_to_300",
    )
    for _ in range(2):
        report = mirror(database, tmp_path, [replace(THINGS, key=key)])
        database.run("UPDATE things SET block = block + 1 WHERE id = 7")
    assert report.fetched <= 300
    mirrored = things(tmp_path).sort("id")
    assert mirrored.columns == ["id", "at", *names]
    assert mirrored["block"].to_list() == [
        seq % 4 + (seq == 7) for seq in range(1, 301)
    ]
    assert mirrored["part"].to_list() == [seq % 5 for seq in range(1, 301)]


def test_how_a_column_is_stored_does_not_matter(
    database: Database, tmp_path: Path
) -> None:
    """The catalogue says it in a comment, such as blob /*M!100301 COMPRESSED*/."""
    database.run(
        "CREATE TABLE things (id int, a varchar(100) COMPRESSED, b blob COMPRESSED, "
        "c text CHARACTER SET latin1 COMPRESSED)",
        "INSERT INTO things VALUES (1, 'x', 'y', 'é')",
    )
    mirror(database, tmp_path)
    assert things(tmp_path).rows() == [(1, "x", b"y", "é")]


def test_temporal_columns_of_old_servers_are_mirrored(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """They stay as they were stored until their table is rebuilt."""
    database = adjustable_database
    with database.global_variable("mysql56_temporal_format", "OFF"):
        database.run(
            "CREATE TABLE things (id int, a datetime, b datetime(3), c timestamp NULL, "
            "d timestamp(3) NULL, e time, f time(2))",
            "INSERT INTO things VALUES (1, '2026-01-02 03:04:05', "
            "'2026-01-02 03:04:05.678', '2026-01-02 03:04:05', "
            "'2026-01-02 03:04:05.678', '-01:02:03', '01:02:03.45')",
        )
    mirror(database, tmp_path)
    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    broken = whole.replace(microsecond=678_000)
    hour = timedelta(hours=1, minutes=2, seconds=3)
    assert things(tmp_path).rows() == [
        (1, whole, broken, whole, broken, -hour, hour + timedelta(milliseconds=450))
    ]


@pytest.mark.parametrize("kind", ["date", "datetime(6)"])
def test_a_date_without_month_or_day_is_told_from_all_others(kind: str) -> None:
    """By what MySQL's functions say of it, too, which take it for another date."""
    made = column(Catalogued("v", kind, None, nullable=False))
    assert made is not None
    assert "IF(MONTH(`v`) AND DAYOFMONTH(`v`)," in made.sql
    day = Blocking("v", KeyKind.TIME, 86_400)
    within = sql.within(day, [Block(740_000, 1, 0), Block(None, 1, 0)])
    for text in (sql.number(day), within):
        assert "IF(MONTH(`v`) AND DAYOFMONTH(`v`),TO_SECONDS(`v`),NULL)" in text


def test_the_limit_of_a_text_is_within_32_bits(database: Database) -> None:
    """Also when a server multiplies it by the four bytes of a character."""
    with source(database).view() as view:
        ((limit,),) = view.stream("SELECT @@group_concat_max_len")
    assert 2**32 - 8 < int(limit) * 4 < 2**32


ANY_TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(ANY_TEXT, ANY_TEXT, st.none() | st.binary(max_size=9)), max_size=60
    )
)
def test_any_text_and_any_bytes_survive(
    database: Database, tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    """Random characters of all planes, in random rows."""
    database.run("DROP TABLE IF EXISTS things")
    database.run("CREATE TABLE things (id int, a text, b varchar(50), c blob)")
    numbered = [(number, *row) for number, row in enumerate(rows)]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO things VALUES (%s, %s, %s, %s)", numbered)
    mirror(database, tmp_path)
    assert things(tmp_path).rows() == numbered


def test_generated_and_invisible_columns_are_mirrored(
    database: Database, tmp_path: Path
) -> None:
    """They are columns of the table, whatever SELECT * shows."""
    database.run(
        "CREATE TABLE things (id int, hidden int INVISIBLE, "
        "twice int AS (id * 2) VIRTUAL, thrice int AS (id * 3) STORED)",
        "INSERT INTO things (id, hidden) VALUES (5, 7)",
    )
    mirror(database, tmp_path)
    assert things(tmp_path).to_dicts() == [
        {"id": 5, "hidden": 7, "twice": 10, "thrice": 15}
    ]


def test_an_answer_larger_than_a_packet_comes_in_shares(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """The server cuts a packed text at max_allowed_packet; then less is asked for."""
    database = adjustable_database
    database.run("CREATE TABLE things (id int PRIMARY KEY, at datetime, v longtext)")
    database.run(
        "INSERT INTO things SELECT seq, '2026-01-01', REPEAT('x\"', 40000) FROM seq_1_to_60"
    )
    with database.global_variable("max_allowed_packet", 1 << 20):
        for key in ("id", "at"):
            mirror(database, tmp_path / key, [replace(THINGS, key=key)])
            assert things(tmp_path / key)["v"].to_list() == ['x"' * 40000] * 60
            assert sorted(things(tmp_path / key)["id"]) == list(range(1, 61))


@pytest.mark.parametrize("key", ["id", "at"])
def test_an_answer_that_is_cut_where_a_row_ends_comes_in_shares(
    adjustable_database: Database, tmp_path: Path, key: str
) -> None:
    """It looks whole, but for the rows that it lacks."""
    database = adjustable_database
    row = (
        "seq, '2026-01-01', REPEAT('x', 1024 - LENGTH('1000\t1767225600000000\t12\n'))"
    )
    database.run("CREATE TABLE things (id int PRIMARY KEY, at datetime, v text)")
    database.run(f"INSERT INTO things SELECT {row} FROM seq_1000_to_3999")
    with database.global_variable("max_allowed_packet", 1 << 20):
        mirror(database, tmp_path, [replace(THINGS, key=key)])
    assert sorted(things(tmp_path)["id"]) == list(range(1000, 4000))


@pytest.mark.parametrize("key", ["id", "at"])
@pytest.mark.parametrize(
    ("kind", "size"), [("longtext", 1_500_000), ("longblob", 600_000)]
)
def test_a_row_larger_than_a_packet_is_named(
    adjustable_database: Database, tmp_path: Path, key: str, kind: str, size: int
) -> None:
    """Nothing can send it, so the message says which setting stands in the way."""
    database = adjustable_database
    database.run(f"CREATE TABLE things (id int PRIMARY KEY, at date, v {kind})")
    database.run(
        f"INSERT INTO things VALUES (1, '2026-01-01', REPEAT('x', {size})), "
        "(2, '2026-01-01', 'y')"
    )
    with (
        database.global_variable("max_allowed_packet", 1 << 20),
        pytest.raises(
            SourceError, match="things: a row is larger .* max_allowed_packet"
        ),
    ):
        mirror(database, tmp_path, [replace(THINGS, key=key)])


def test_more_rows_of_one_day_than_a_query_takes_are_fetched(
    database: Database, tmp_path: Path
) -> None:
    """A bulk load gives many rows one timestamp."""
    database.run("CREATE TABLE things (id datetime, n int)")
    database.run("INSERT INTO things SELECT '2026-01-01', seq FROM seq_1_to_90000")
    mirror(database, tmp_path)
    assert sorted(things(tmp_path)["n"]) == list(range(1, 90_001))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": "wrong"}, "denied access to reader_.*: check DB_USERNAME and DB_PASSWORD"),
        ({"user": "nobody"}, "denied access to nobody"),
        ({"database": "nowhere"}, "has no database nowhere .*: check DB_NAME"),
        ({"port": 1}, "No database answers at 127.0.0.1:1: check DB_HOST, DB_PORT"),
        ({"host": "nowhere.invalid"}, "No database answers at nowhere.invalid"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    database: Database, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    """One line, and never the password."""
    wrong = replace(source(database), **changed)
    with pytest.raises(SourceError, match=message) as raised:
        sync(wrong, tmp_path, [THINGS], lambda: datetime.now(UTC))
    assert "\n" not in str(raised.value)
    assert database.reader.password not in str(raised.value) + repr(wrong)


def test_an_unknown_way_to_log_in_is_named() -> None:
    """Once, without trying again: the driver knows no other way a moment later."""
    asking = MysqlSource("db.example", 3306, "ed", "secret", "fpp")
    fault = NotSupportedError("Authentication plugin 'client_ed25519' is not supported")
    with (
        pytest.raises(SourceError, match="ed in: .*ed25519.*caching_sha2_pas") as told,
        explained(asking),
    ):
        raise fault
    assert not isinstance(told.value, PassingFault)


def test_a_table_that_may_not_be_read_is_named(
    database: Database, mariadb_login: Login, tmp_path: Path
) -> None:
    """Without SELECT on it a table is as good as missing."""
    database.run("CREATE TABLE things (id int)")
    user = f"{database.reader.user}@'%'"
    mariadb_login.run(
        f"REVOKE SELECT ON `{database.name}`.* FROM {user}",
        f"CREATE TABLE `{database.name}`.other (id int)",
        f"GRANT SELECT ON `{database.name}`.other TO {user}",
    )
    with pytest.raises(SourceError, match="Table things is missing .* SELECT from it"):
        mirror(database, tmp_path)


def test_a_table_that_the_catalogue_lacks_for_a_moment_is_asked_for_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MariaDB's does while a table is altered: the fault passes."""
    database.run("CREATE TABLE things (id int)")
    query = MysqlView._query

    def altering(view: MysqlView, statement: str, values: Sequence[Any] = ()) -> Any:
        return (
            [] if "information_schema" in statement else query(view, statement, values)
        )

    monkeypatch.setattr(MysqlView, "_query", altering)
    with source(database).view() as view:
        with pytest.raises(PassingFault, match="Table things was altered in"):
            view.columns(THINGS)
        with pytest.raises(SourceError, match="Table other is missing in") as told:
            view.columns(Table("other", key="id"))
    assert not isinstance(told.value, PassingFault)


def test_a_table_without_transactions_cannot_be_told_wrong() -> None:
    """Rows that appear between counting and fetching are noticed, not mixed in."""
    with private_server() as server:
        server.root.run("CREATE DATABASE m")
        login = server.root
        login.run(
            "CREATE TABLE m.things (id int) ENGINE=MyISAM",
            "INSERT INTO m.things VALUES (1)",
        )
        mine = MysqlSource(login.host, login.port, login.user, login.password, "m")
        with mine.view() as view:
            columns = view.columns(THINGS)
            cut = choose_blocking(THINGS, columns)
            blocks = view.blocks(THINGS, columns, cut)
            login.run("INSERT INTO m.things VALUES (2)")
            with pytest.raises(SourceError, match="2 rows came where 1 were counted"):
                list(view.rows(THINGS, columns, cut, blocks))


@pytest.mark.parametrize(
    "alter",
    [
        "ADD COLUMN more int DEFAULT 7",
        "ADD COLUMN more datetime FIRST",
        "DROP COLUMN v",
        "MODIFY v varchar(5) FIRST",
        "MODIFY n bigint",
        "MODIFY d decimal(12,6)",
        "MODIFY d decimal(4,1)",
        "MODIFY e enum('a','b','c')",
        "MODIFY e varchar(9)",
        "CHANGE v w varchar(9)",
        "CHANGE v n varchar(9), CHANGE n v int",
        "MODIFY n smallint unsigned NOT NULL",
        "CONVERT TO CHARACTER SET latin1",
        "DROP PRIMARY KEY, ADD PRIMARY KEY (n, id)",
    ],
)
def test_an_altered_table_flows_through(
    database: Database, tmp_path: Path, alter: str
) -> None:
    """Columns added, dropped, moved, renamed, widened and narrowed, by the catalogue."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, n int, v varchar(9), "
        "d decimal(4,2), e enum('a','b'))",
        "INSERT INTO things VALUES (1, 5, 'é', 1.25, 'a'), (2, 0, '', -99.99, 'b')",
    )
    mirror(database, tmp_path)
    database.run(f"ALTER TABLE things {alter}")
    mirror(database, tmp_path)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM things ORDER BY id")
        rows, names = cursor.fetchall(), list(cursor.column_names)
    assert things(tmp_path).columns == names
    assert things(tmp_path).rows() == rows


def test_a_renamed_member_of_an_enum_is_seen(
    database: Database, tmp_path: Path
) -> None:
    """The rows did not change, but what they say did."""
    database.run(
        "CREATE TABLE things (id int, e enum('a','b'))",
        "INSERT INTO things VALUES (1, 'a'), (2, 'b')",
    )
    mirror(database, tmp_path)
    database.run("ALTER TABLE things MODIFY e enum('a','b','z')")
    assert mirror(database, tmp_path).fetched == 0
    database.run("UPDATE things SET e = 'z' WHERE e = 'b'")
    mirror(database, tmp_path)
    assert things(tmp_path)["e"].to_list() == ["a", "z"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate of it for 127.0.0.1, and another authority."""
    place = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        command = ["openssl", *arguments]
        subprocess.run(command, cwd=place, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    (place / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:127.0.0.1")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-set_serial", "1", "-extfile", "names", "-out", "server.pem")  # fmt: skip
    return place


def test_tls_is_used_where_it_is_offered_and_demanded_with_an_authority(
    certificates: Path, tmp_path: Path
) -> None:
    """A server that demands it is reached; one that another authority signed is not."""
    with (
        private_server(
            "--require-secure-transport=ON",
            f"--ssl-ca={certificates / 'ca.pem'}",
            f"--ssl-cert={certificates / 'server.pem'}",
            f"--ssl-key={certificates / 'server.key'}",
        ) as server,
        fresh_database(server.root) as secured,
    ):
        secured.run("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
        mine = source(secured)
        trusted = replace(mine, ssl_ca=str(certificates / "ca.pem"))
        for each in (mine, trusted):
            sync(each, tmp_path, [THINGS], lambda: datetime.now(UTC))
        with pytest.raises(SourceError, match="certificate"):
            stranger = replace(mine, ssl_ca=str(certificates / "other.pem"))
            sync(stranger, tmp_path, [THINGS], lambda: datetime.now(UTC))


def test_a_server_without_tls_is_refused_where_an_authority_is_given(
    database: Database, certificates: Path, tmp_path: Path
) -> None:
    """Nothing is sent in the clear that was meant to be safe."""
    trusted = replace(source(database), ssl_ca=str(certificates / "ca.pem"))
    with pytest.raises(SourceError, match="SSL|TLS"):
        sync(trusted, tmp_path, [THINGS], lambda: datetime.now(UTC))
