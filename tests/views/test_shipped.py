"""Every shipped SQL file equals its definition in plain Python, on random tables."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.dtypes import dtype_name, parse_dtype
from readmodel.sync.derived_messages import Outcome
from readmodel.sync.derived_worker import compute, run_tests, spec_of
from sqlfiles.catalogue import Catalogue, load
from sqlfiles.definition import Definition, quoted
from sqlfiles.session import SessionOptions, add_tables, bind, connect
from tests.support.derived import NOON, derived, run_derived
from tests.support.views_oracle import ORACLES, Database, Result, Row, room_pace

VIEWS = Path(__file__).parents[2] / "views"
INSTANT = pl.Datetime("us", "UTC")
SCHEMAS: dict[str, dict[str, Any]] = {
    "fpp_estimations": {
        "id": pl.Int32,
        "user_id": pl.String,
        "room_id": pl.Int32,
        "estimation": pl.Int16,
        "spectator": pl.Boolean,
        "estimated_at": INSTANT,
    },
    "fpp_events": {
        "id": pl.Int32,
        "user_id": pl.String,
        "event": pl.String,
        "event_at": INSTANT,
    },
    "fpp_page_views": {
        "id": pl.Int32,
        "user_id": pl.String,
        "source": pl.String,
        "route": pl.String,
        "room_id": pl.Int32,
        "viewed_at": INSTANT,
    },
    "fpp_rooms": {
        "id": pl.Int32,
        "number": pl.Int32,
        "name": pl.String,
        "first_used_at": INSTANT,
        "last_used_at": INSTANT,
    },
    "fpp_users": {
        "id": pl.String,
        "device": pl.String,
        "os": pl.String,
        "browser": pl.String,
        "country": pl.String,
        "region": pl.String,
        "city": pl.String,
        "created_at": INSTANT,
    },
    "fpp_votes": {
        "id": pl.Int32,
        "room_id": pl.Int32,
        "avg_estimation": pl.Decimal(4, 2),
        "max_estimation": pl.Int16,
        "min_estimation": pl.Int16,
        "amount_of_estimations": pl.Int16,
        "amount_of_spectators": pl.Int16,
        "duration": pl.Int16,
        "voted_at": INSTANT,
    },
}
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Kathmandu"]
COLUMNS = {
    table: {name: dtype_name(pl.Schema(schema)[name]) for name in schema}
    for table, schema in SCHEMAS.items()
}

CATALOGUES = {zone: load(VIEWS, zone=ZoneInfo(zone)) for zone in ZONES}
TABLES = [definition.name for definition in CATALOGUES["UTC"].tables]

_OPENINGS = [
    datetime(2024, 6, 3, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),  # Berlin: clock put forward
    datetime(2024, 4, 25, 22, tzinfo=UTC),  # Cairo: no midnight
    datetime(2024, 10, 27, 1, tzinfo=UTC),  # Berlin: clock put back
    datetime(2024, 12, 31, 23, 30, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
]
_INSTANTS = st.builds(
    lambda start, days, seconds: start + timedelta(days=days, seconds=seconds),
    st.sampled_from(_OPENINGS),
    st.sampled_from([0, 0, 1, 6, 7, 8, 30, 31, -1]),
    st.sampled_from([0, 1, -1, 1800, -3600, 7200, 40000, 86399]),
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "user_id": st.sampled_from(["a", "b", "c", "ä", ""]),
    "room_id": st.integers(1, 3),
    "source": st.sampled_from(
        ["", "https://teams.microsoft.com/", "google_ads", "https://github.com/x",
         "https://www.google.com/", "cv", "EMAIL", "email", "https://www.bing.com/"]
    ),
    "route": st.sampled_from(["HOME", "ROOM", "ANALYTICS"]),
    "event": st.sampled_from(["ENTERED_NEW_ROOM", "LEFT_ROOM"]),
    "country": st.sampled_from(["DE", "US", "", "Unknown", "ÅL"]),
    "avg_estimation": st.just(None),
    "duration": st.integers(0, 3600),
    "spectator": st.booleans(),
}  # fmt: skip


def _cells(table: str) -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for each column but `id`; every column may be None."""
    found = {}
    for column, dtype in SCHEMAS[table].items():
        values = _VALUES.get(column)
        if values is None:
            values = {INSTANT: _INSTANTS, pl.String: st.sampled_from(["x", "y"])}.get(
                dtype, st.integers(-3, 13)
            )
        weighted = st.one_of(values, values, values, values, st.none())
        found[column] = weighted
    found.pop("id")
    return found


def _rows(table: str) -> st.SearchStrategy[list[Row]]:
    """Rows with distinct ids, some None."""

    def numbered(rows: list[Row], shuffled: list[int]) -> list[Row]:
        text = table == "fpp_users"
        return [
            {
                **row,
                "id": None if number == 0 else f"u{number}" if text else number,
            }
            for row, number in zip(rows, shuffled, strict=False)
        ]

    rows = st.lists(st.fixed_dictionaries(_cells(table)), max_size=10)
    return st.builds(numbered, rows, st.permutations(range(10)))


databases = st.fixed_dictionaries({table: _rows(table) for table in SCHEMAS})


def frame(table: str, rows: list[Row]) -> pl.DataFrame:
    """*rows* with the schema of *table*."""
    schema = SCHEMAS[table]
    return pl.DataFrame([{c: row[c] for c in schema} for row in rows], schema=schema)


@contextmanager
def _files(database: Database) -> Iterator[dict[str, list[Path]]]:
    """The tables as Parquet files, each in parts of four rows."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, list[Path]] = {}
        for table, rows in database.items():
            whole = frame(table, rows)
            slices = list(whole.iter_slices(4)) or [whole]
            found[table] = [Path(folder, f"{table}-{n}") for n in range(len(slices))]
            for path, part in zip(found[table], slices, strict=True):
                part.write_parquet(path)
        yield found


def _result(definition: Definition, files: dict[str, list[Path]]) -> Result:
    """The rows that the updater would store; the definition's tests must pass."""
    connection = connect(SessionOptions(definition.zone, NOON))
    try:
        add_tables(connection, {name: files[name] for name in definition.inputs})
        spec = spec_of(definition)
        columns = compute(connection, spec)
        run_tests(connection, spec)
        selected = ", ".join(column.sql for column in columns)
        rows = connection.sql(f"SELECT {selected} FROM {quoted(spec.object)}")
        schema = pl.Schema({c.name: parse_dtype(c.dtype) for c in columns})
        return pl.DataFrame(rows).cast(schema).rows()
    finally:
        connection.close()


def test_the_shipped_files_have_no_error() -> None:
    """Nor a warning; each is described, with a meaning for every column, and tested."""
    for catalogue in CATALOGUES.values():
        assert not catalogue.errors
    schemas: dict[str, dict[str, str]] = dict(COLUMNS)
    for definition in CATALOGUES["UTC"].definitions:
        columns = bind(definition, schemas)
        assert definition.description
        assert not definition.statement.warnings
        assert definition.tests or not definition.is_table
        assert [note.name for note in definition.columns] == [c.name for c in columns]
        assert all(note.meaning for note in definition.columns)
        if definition.object:
            schemas[definition.object] = {c.name: c.dtype for c in columns}


def test_every_shipped_table_has_an_oracle() -> None:
    """And there are no others."""
    assert sorted(TABLES) == sorted(ORACLES)
    assert [report.name for report in CATALOGUES["UTC"].reports] == ["room_pace"]


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=25, deadline=None)
@given(database=databases, zone=st.sampled_from(ZONES))
def test_a_shipped_table_equals_its_oracle(
    name: str, database: Database, zone: str
) -> None:
    """Values and order, with nulls in each column, in several time zones."""
    definition = _definition(CATALOGUES[zone], name)
    with _files(database) as files:
        assert _result(definition, files) == ORACLES[name](database, ZoneInfo(zone))


@settings(max_examples=25, deadline=None)
@given(
    database=databases,
    zone=st.sampled_from(ZONES),
    since=st.none() | st.sampled_from([date(2024, 6, 1), date(2025, 1, 1)]),
)
def test_the_shipped_report_equals_its_oracle(
    database: Database, zone: str, since: date | None
) -> None:
    """Of each room, with and without a first day."""
    catalogue = CATALOGUES[zone]
    report = catalogue.report("room_pace")
    assert report is not None
    with _files(database) as files, tempfile.TemporaryDirectory() as folder:
        months = _definition(catalogue, "estimation_by_month")
        path = Path(folder, "months")
        columns = bind(months, COLUMNS)
        schema = pl.Schema({c.name: parse_dtype(c.dtype) for c in columns})
        rows = _result(months, files)
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
        for room in (1, 2, 9):
            connection = connect(SessionOptions(report.zone, NOON))
            add_tables(connection, {"estimation_by_month": [path]})
            parameters = {"room_id": room, "since": since}
            found = pl.DataFrame(connection.sql(report.sql, params=parameters)).rows()
            connection.close()
            assert found == room_pace(database, ZoneInfo(zone), room, since)


@settings(max_examples=4, deadline=None)
@given(
    states=st.lists(databases, min_size=3, max_size=3), zone=st.sampled_from(ZONES[:3])
)
def test_shipped_tables_follow_every_change_of_their_inputs(
    states: list[Database], zone: str
) -> None:
    """Late rows, updates and deletions from snapshot to snapshot, by the updater."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for hours, database in enumerate(states):
            tables = {name: frame(name, rows) for name, rows in database.items()}
            at = NOON + timedelta(hours=hours)
            reports = run_derived(data, VIEWS, tables, at, zone, part_rows=4)
            for name, report in reports.items():
                assert report.outcome in (Outcome.BUILT, Outcome.UNCHANGED), report
                expected = ORACLES[name](database, ZoneInfo(zone))
                assert derived(data, name).rows() == expected, name


def _definition(catalogue: Catalogue, name: str) -> Definition:
    return next(d for d in catalogue.definitions if d.name == name)
