"""SQL files become definitions; everything that is wrong is named with file and line."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sqlfiles.catalogue import Catalogue, load
from sqlfiles.definition import (
    ColumnNote,
    DefinitionType,
    Filter,
    OrderTerm,
    Parameter,
    ParameterType,
    RowLimit,
    TestKind,
)
from tests.support.derived import table_sql, write_views

FULL = """\
-- A remark of the author.
-- @name room_leaderboard
-- @type incremental_insert
-- @object leaderboard
-- @description Rooms by votes.
-- | One row per room.
-- @refresh_sql REFRESH x
-- @indexes a
-- @indexes b
-- @filter room_id [=, in]
-- @filter votes >=
-- @limit 10 100
-- @order votes desc, room_id asc nulls first
-- @route /rooms/{room_id}/board
-- @one
-- @missing No such room
-- @column votes Number of votes
-- @unit votes votes
-- @test unique(room_id)
-- @test SELECT * FROM leaderboard
-- | WHERE votes < 1
-- @zone Europe/Berlin

SELECT room_id, count(*) AS votes
-- a remark in the statement
FROM fpp_votes GROUP BY room_id;

-- @name second
-- @type report
-- @param room integer 1..
-- | The room.
-- @param since timestamp '2026-01-01 00:00'
-- @param name text null
-- @unit room number
SELECT * FROM leaderboard WHERE room_id = $room AND $since < now() AND $NAME = 'x'
"""


def read(tmp_path: Path, **files: str) -> Catalogue:
    """Load *files*."""
    return load(write_views(tmp_path / "views", **files))


def errors(tmp_path: Path, **files: str) -> list[str]:
    """The errors in *files*."""
    return [str(error) for error in read(tmp_path, **files).errors]


def test_every_key_is_understood(tmp_path: Path) -> None:
    """Of several definitions in one file."""
    catalogue = read(tmp_path, a=FULL)
    assert not catalogue.errors
    table, report = catalogue.definitions
    assert (table.name, table.object) == ("room_leaderboard", "leaderboard")
    assert table.type is DefinitionType.INCREMENTAL_INSERT
    assert table.description == "Rooms by votes.\nOne row per room."
    assert (table.refresh_sql, table.indexes) == ("REFRESH x", "a\nb")
    assert table.filters == (Filter("room_id", ("=", "in")), Filter("votes", (">=",)))
    assert table.limit == RowLimit(10, 100)
    assert table.order == (
        OrderTerm("votes", True, True),
        OrderTerm("room_id", False, True),
    )
    assert (table.route, table.one) == ("/rooms/{room_id}/board", True)
    assert table.missing == "No such room"
    assert table.columns == (ColumnNote("votes", "Number of votes", "votes"),)
    unique, query = table.tests
    assert (unique.kind, unique.columns) == (TestKind.UNIQUE, ("room_id",))
    assert query.text == "SELECT * FROM leaderboard\nWHERE votes < 1"
    assert table.zone == ZoneInfo("Europe/Berlin")
    assert (table.line, table.sql_line) == (2, 24)
    assert table.inputs == ("fpp_votes",)
    assert report.inputs == ("leaderboard",)
    assert report.statement.uses_clock
    room, since, name = report.parameters
    assert room == Parameter(
        "room", ParameterType.INTEGER, minimum=1, meaning="The room.", unit="number"
    )
    assert since.default == datetime(2026, 1, 1, tzinfo=UTC)
    assert (name.required, name.default) == (False, None)


HEAD = "-- @name a\n-- @type materialized_view\n-- @object a\n"
REPORT = "-- @name a\n-- @type report\n"

WRONG = {
    "unknown key": (f"{HEAD}-- @colour red\nSELECT 1", "a.sql:4: a: unknown key @colour"),
    "no name": (
        "-- @type report\nSELECT 1",
        "a.sql:1: @name is missing",
    ),
    "no type": ("-- @name a\nSELECT 1", "a.sql:1: a: @type is missing"),
    "no object": (
        "-- @name a\n-- @type materialized_view\nSELECT 1",
        "a.sql:1: a: @object is missing",
    ),
    "unknown type": (
        "-- @name a\n-- @type schema\nSELECT 1",
        (
            "a.sql:2: a: unknown type 'schema': use one of materialized_view, "
            "incremental_insert, report"
        ),
    ),
    "alias of two operators": (
        f"{HEAD}-- @filter n [=, <] as m\nSELECT 1 AS n",
        "a.sql:4: a: @filter n as m: use one operator for one name",
    ),
    "reserved alias": (
        f"{HEAD}-- @filter n as limit\nSELECT 1 AS n",
        "a.sql:4: a: @filter n as limit: the name is reserved",
    ),
    "alias of another filter": (
        f"{HEAD}-- @filter m\n-- @filter n as m\nSELECT 1 AS n, 2 AS m",
        "a.sql:5: a: @filter m is given twice",
    ),
    "one of nothing": (
        f"{HEAD}-- @filter n as m\n-- @one n\nSELECT 1 AS n",
        "a.sql:5: a: @one n is no parameter and no filter",
    ),
    "a report at every sync": (
        f"{REPORT}-- @every_sync\nSELECT 1",
        "a.sql:3: a: @every_sync belongs to tables: a report has none",
    ),
    "a value of a flag": (
        f"{HEAD}-- @every_sync 5m\nSELECT 1",
        "a.sql:4: a: @every_sync takes no value",
    ),
    "twice": (f"{HEAD}-- @limit 1 2\n-- @limit 1 2\nSELECT 1", "a.sql:5: a: @limit is given twice"),
    "bad name": (
        "-- @name ../a\n-- @type report\nSELECT 1",
        "a.sql:1: '../a' is no name: use letters, digits and _, at most 63, no digit first",
    ),
    "bad limit": (
        f"{HEAD}-- @limit 5 2\nSELECT 1",
        "a.sql:4: a: @limit needs 1 <= default <= maximum",
    ),
    "bad filter": (
        f"{HEAD}-- @filter x ~\nSELECT 1 AS x",
        "a.sql:4: a: @filter x: unknown operator '~': use =, !=, >, >=, <, <=, in",
    ),
    "bad param": (
        f"{REPORT}-- @param x integer 5 10..20\nSELECT $x",
        "a.sql:3: a: x must be at least 10",
    ),
    "bad param type": (
        f"{REPORT}-- @param x money\nSELECT $x",
        (
            "a.sql:3: a: unknown parameter type 'money': use one of text, integer, number, "
            "boolean, date, timestamp, duration"
        ),
    ),
    "empty range": (
        f"{REPORT}-- @param x integer 5..1\nSELECT $x",
        "a.sql:3: a: @param x: the range 5..1 is empty",
    ),
    "undeclared": (
        f"{REPORT}SELECT $x",
        "a.sql:3: a: $x is not declared: @param x is missing",
    ),
    "positional": (f"{REPORT}SELECT ?", "a.sql:3: a: $1 is not declared: use $name, not ?"),
    "unused": (
        f"{REPORT}-- @param x integer\nSELECT 1",
        "a.sql:3: a: @param x is not used: there is no $x",
    ),
    "param of a table": (
        f"{HEAD}-- @param x integer\nSELECT $x",
        "a.sql:4: a: @param belongs to reports: a table is built without",
    ),
    "test of a report": (
        f"{REPORT}-- @test unique(x)\nSELECT 1 AS x",
        "a.sql:3: a: @test belongs to tables: a report is not stored",
    ),
    "bad zone": (
        f"{HEAD}-- @zone Mars\nSELECT 1",
        "a.sql:4: a: unknown time zone 'Mars', use an IANA name",
    ),
    "bad route": (
        f"{HEAD}-- @route rooms\nSELECT 1",
        "a.sql:4: a: @route 'rooms' is no path: use /words and /{parameters}, no slash last",
    ),
    "unknown placeholder": (
        f"{HEAD}-- @route /x/{{y}}\nSELECT 1",
        "a.sql:4: a: @route {y} is no filter with =",
    ),
    "two statements": (
        f"{HEAD}SELECT 1; SELECT 2",
        "a.sql:4: a: there must be exactly one SELECT, and there are 2 statements",
    ),
    "another statement": (
        f"{HEAD}CREATE TABLE x AS SELECT 1",
        "a.sql:4: a: there must be exactly one SELECT, and this is another statement",
    ),
    "insert": (
        f"{HEAD}WITH x AS (INSERT INTO y VALUES (1) RETURNING *) SELECT * FROM x",
        "a.sql:4: a: only SELECT is allowed, also in WITH",
    ),
    "no statement": (HEAD, "a.sql:1: a: there is no SELECT below the header"),
    "no header": ("SELECT 1", "a.sql:1: SQL without a header above it"),
    "empty": ("", "a.sql:1: no definition: a header needs -- @name"),
    "syntax": (f"{HEAD}SELECT 1,\n'é',\nFROM FROM x", 'a.sql:6: a: syntax error at or near "FROM"'),
    "unknown table": (f"{HEAD}SELECT * FROM nowhere", "a.sql:4: a: unknown table nowhere"),
    "a file": (f"{HEAD}SELECT * FROM '/etc/passwd'", "a.sql:4: a: unknown table /etc/passwd"),
    "a function that reads": (
        f"{HEAD}SELECT * FROM read_text('/etc/passwd')",
        (
            "a.sql:4: a: the table function read_text is not allowed: use generate_series, "
            "json_each, json_tree, range, repeat, unnest"
        ),
    ),
    "another schema": (
        f"{HEAD}SELECT * FROM information_schema.tables",
        "a.sql:4: a: unknown table information_schema.tables",
    ),
    "volatile": (
        f"{HEAD}SELECT 1 AS x\nWHERE random() > 0",
        "a.sql:5: a: random() gives another result at each call or session",
    ),
    "volatile test": (
        f"{HEAD}-- @test SELECT uuid()\nSELECT 1",
        "a.sql:4: a: @test: uuid() gives another result at each call or session",
    ),
    "hidden clock": (
        f"{HEAD}SELECT age(voted_at) FROM fpp_votes",
        "a.sql:4: a: age(x) reads the clock: write age(current_date, x)",
    ),
    "sample": (
        f"{HEAD}SELECT * FROM fpp_votes USING SAMPLE 10%",
        "a.sql:4: a: a sample differs from run to run",
    ),
    "itself": (f"{HEAD}SELECT * FROM A", "a.sql:4: a: the table reads itself"),
    "indented": (f"{HEAD}  -- @limit 1 2\nSELECT 1", "a.sql:4: a key must begin at the start of its line"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    """And a good definition in another file is not affected."""
    good = table_sql("good", "SELECT * FROM fpp_votes")
    catalogue = read(tmp_path, a=text, good=good)
    assert message in [str(error) for error in catalogue.errors]
    assert catalogue.table("good")


ALIASES = (
    "-- @filter n [>=] as since\n-- @filter n [<] as until\n"
    "-- @one since\n-- @every_sync\n-- @route /x\nSELECT 1 AS n"
)


def test_filters_may_have_other_names(tmp_path: Path) -> None:
    """So that two of one column, and those of earlier clients, have theirs."""
    (table,) = read(tmp_path, a=HEAD + ALIASES).definitions
    assert table.filters == (
        Filter("n", (">=",), "since"),
        Filter("n", ("<",), "until"),
    )
    assert (table.one, table.one_with, table.every_sync) == (True, "since", True)
    assert table.gives_one({"since", "other"})
    assert not table.gives_one({"until"})


def test_one_bad_definition_does_not_stop_those_in_its_file(tmp_path: Path) -> None:
    """Before and after it."""
    parts = [table_sql(name, "SELECT 1 AS x") for name in ("a", "b", "c")]
    parts[1] = parts[1].replace("-- @type", "-- @tpye")
    catalogue = read(tmp_path, all="\n".join(parts))
    assert [d.name for d in catalogue.tables] == ["a", "c"]
    assert len(catalogue.errors) == 2


def test_names_objects_and_routes_are_unique(tmp_path: Path) -> None:
    """In any case; the first in order of files wins."""
    first = table_sql("a", "SELECT 1 AS x", "@route /x")
    found = errors(
        tmp_path,
        a=first,
        b=first.replace("@name a", "@name A").replace("@object a", "@object b"),
        c=first.replace("@name a", "@name c").replace("@object a", "@object A"),
        d=table_sql("d", "SELECT 1 AS x", "@route /x"),
        e=table_sql("fpp_Votes", "SELECT 1 AS x"),
    )
    assert found == [
        "b.sql:1: A: @name A is taken by a.sql:1",
        "c.sql:3: c: @object A is taken by a.sql:1",
        "d.sql:4: d: @route /x is taken by a.sql:1",
        "e.sql:3: fpp_Votes: @object fpp_Votes is a mirrored table",
    ]


def test_a_report_cannot_have_the_address_of_the_daily_report(tmp_path: Path) -> None:
    """`GET /reports/daily` answers what the updater posted; a table may have the name."""
    report = "-- @name Daily\n-- @type report\nSELECT 1 AS x;\n"
    found = errors(tmp_path, a=report, b=table_sql("daily", "SELECT 1 AS x"))
    assert [error for error in found if "daily report" in error] == [
        "a.sql:1: Daily: @name Daily: /reports/Daily is the daily report"
    ]


def test_tables_are_ordered_by_their_inputs(tmp_path: Path) -> None:
    """Whatever the order of files."""
    catalogue = read(
        tmp_path,
        a=table_sql("a", "SELECT * FROM b, C"),
        b=table_sql("b", "WITH a AS (SELECT * FROM c) SELECT * FROM a"),
        c=table_sql("c", "SELECT (SELECT max(id) FROM fpp_votes) AS x"),
    )
    assert [d.name for d in catalogue.tables] == ["c", "b", "a"]
    assert catalogue.tables[2].inputs == ("b", "c")


def test_what_reads_tables_that_are_left_out_is_no_error(tmp_path: Path) -> None:
    """TABLES may mirror other tables than those of the statistics."""
    write_views(
        tmp_path,
        a=table_sql("a", "SELECT * FROM fpp_Votes"),
        b="-- @name b\n-- @type report\nSELECT * FROM a, players",
        c=table_sql("c", "SELECT * FROM players"),
        d=table_sql("d", "SELECT * FROM fpp_votes, nowhere"),
        e=table_sql("e", "SELECT * FROM a, d"),
    )
    found = load(tmp_path, ["players"])
    assert [each.name for each in found.definitions] == ["c"]
    assert list(map(str, found.unmirrored)) == [
        "a.sql:4: a: reads fpp_votes, which TABLES does not mirror",
        "b.sql:3: b: reads a, which is not built",
    ]
    assert list(map(str, found.errors)) == [
        "d.sql:4: d: unknown table nowhere",
        "e.sql:4: e: its input d has an error: d.sql:4",
    ]


def test_a_cycle_is_an_error_of_those_in_it_and_what_reads_them(tmp_path: Path) -> None:
    """Others stay."""
    catalogue = read(
        tmp_path,
        a=table_sql("a", "SELECT * FROM b"),
        b=table_sql("b", "SELECT * FROM c"),
        c=table_sql("c", "SELECT * FROM a"),
        d=table_sql("d", "SELECT * FROM a"),
        e=table_sql("e", "SELECT 1 AS x"),
    )
    assert [d.name for d in catalogue.tables] == ["e"]
    messages = [error.message for error in catalogue.errors]
    assert len([m for m in messages if m.startswith("a cycle: ")]) == 3
    assert messages[3] == "its input a has an error: a.sql:3"


def test_imprecise_decimals_are_warned_of(tmp_path: Path) -> None:
    """DuckDB rounds them to three digits."""
    sql = "SELECT 1.2345::NUMERIC AS x, 1::DECIMAL(10, 4) AS y"
    (definition,) = read(tmp_path, a=table_sql("a", sql)).tables
    assert definition.statement.warnings == (
        "DECIMAL or NUMERIC without precision is DECIMAL(18,3) and rounds",
    )


def test_an_unreadable_file_is_one_error(tmp_path: Path) -> None:
    """Not UTF-8, with the line."""
    views = write_views(tmp_path / "views", good=table_sql("good", "SELECT 1 AS x"))
    (views / "bad.sql").write_bytes(b"-- @name a\n-- \xff")
    catalogue = load(views)
    assert [str(error) for error in catalogue.errors] == ["bad.sql:2: not UTF-8"]
    assert catalogue.table("good")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "-5", -5),
        ("number", "1e3", 1000.0),
        ("boolean", "True", True),
        ("date", "2026-11-25", date(2026, 11, 25)),
        ("timestamp", "2026-11-25T01:00", datetime(2026, 11, 25, tzinfo=UTC)),
        ("timestamp", "2026-11-25T01:00Z", datetime(2026, 11, 25, 1, tzinfo=UTC)),
        ("text", "", ""),
    ],
)
def test_parameters_are_parsed_by_type(kind: str, text: str, value: object) -> None:
    """Timestamps without an offset are in the definition's zone."""
    parameter = Parameter("x", ParameterType(kind))
    assert parameter.parse(text, ZoneInfo("Europe/Berlin")) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"),
        ("integer", "9223372036854775808"),
        ("integer", "9" * 5000),
        ("number", "nan"),
        ("number", "1e999"),
        ("boolean", "maybe"),
        ("date", "25.11.2026"),
        ("timestamp", "yesterday"),
        ("text", "a\0b"),
    ],
)
def test_bad_values_are_refused_by_name(kind: str, text: str) -> None:
    """With what is expected."""
    with pytest.raises(ValueError, match=r"^x must be "):
        Parameter("x", ParameterType(kind)).parse(text)


def test_an_empty_folder_does_not_import_duckdb(tmp_path: Path) -> None:
    """Neither in the API nor in the updater."""
    code = (
        "import sys, pathlib, config, update_readmodel, main, updater.runner, "
        "sqlfiles.catalogue as c;"
        f"assert not c.load(pathlib.Path({str(tmp_path)!r})).definitions;"
        "assert 'duckdb' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
