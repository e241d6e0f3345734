"""Every shipped SQL file equals its definition in plain Python, on random tables."""

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.dtypes import dtype_name, parse_dtype
from readmodel.sync.derived_messages import BuildOutcome
from readmodel.sync.derived_worker import compute, run_tests, spec_of
from sqlfiles.catalogue import Catalogue, load
from sqlfiles.definition import Definition, quoted
from sqlfiles.session import SessionOptions, add_tables, bind, connect
from tests.support.derived import NOON, derived, run_derived
from tests.support.effort import examples
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

TABLES = sorted(ORACLES)


@cache
def catalogue_of(zone: str = "UTC") -> Catalogue:
    """The shipped definitions with days cut in *zone*."""
    return load(VIEWS, zone=ZoneInfo(zone))


_OPENINGS = [
    datetime(2024, 6, 3, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),  # Berlin: clock put forward
    datetime(2024, 4, 25, 22, tzinfo=UTC),  # Cairo: no midnight
    datetime(2024, 10, 27, 1, tzinfo=UTC),  # Berlin: clock put back
    datetime(2024, 12, 31, 23, 30, tzinfo=UTC),
]
_DAYS = (0, 0, 0, 1, 6, 7, 8, 31, 62, -1)
_SECONDS = (0, 0, 1, -1, 1800, -3600, 7200, 40000)
_VALUES: dict[str, tuple[Any, ...]] = {
    "user_id": ("a", "b", "c", "ä", ""),
    "room_id": (1, 1, 2, 3),
    "source": (
        "", "https://teams.microsoft.com/", "google_ads", "https://github.com/x",
        "https://www.google.com/", "cv", "EMAIL", "email", "https://www.bing.com/",
    ),
    "route": ("HOME", "ROOM", "ROOM", "ANALYTICS"),
    "event": ("ENTERED_NEW_ROOM", "LEFT_ROOM"),
    "country": ("DE", "US", "", "Unknown", "ÅL"),
    "avg_estimation": (None,),
    "max_estimation": (3, 3, 5, 8),
    "min_estimation": (3, 3, 1, -2),
    "amount_of_estimations": (0, 1, 2, 3),
    "spectator": (True, False),
}  # fmt: skip


@cache
def _values(table: str, column: str, opening: datetime) -> tuple[Any, ...]:
    """What the cells of a column are drawn from, besides None."""
    if column in _VALUES:
        return _VALUES[column]
    if SCHEMAS[table][column] == INSTANT:
        return tuple(
            opening + timedelta(days=days, seconds=seconds)
            for days in _DAYS
            for seconds in _SECONDS
        )
    return ("x", "y") if SCHEMAS[table][column] is pl.String else tuple(range(-3, 13))


def _with_ids(table: str, rows: Sequence[Row], numbers: list[int]) -> list[Row]:
    """*rows* with distinct ids; one may be None."""
    is_text = table == "fpp_users"
    ids = [None if n == 0 else f"u{n}" if is_text else n for n in numbers]
    return [{**row, "id": id_} for row, id_ in zip(rows, ids, strict=False)]


@st.composite
def _databases(draw: st.DrawFn) -> Database:
    """Small tables around one instant."""
    opening = draw(st.sampled_from(_OPENINGS))
    found = {}
    for table, schema in SCHEMAS.items():
        cells = {
            name: st.sampled_from((*_values(table, name, opening), None))
            for name in schema
            if name != "id"
        }
        rows = draw(st.lists(st.fixed_dictionaries(cells), max_size=10))
        numbers = draw(st.permutations(range(10)))
        found[table] = _with_ids(table, rows, numbers)
    return found


@cache
def dense_database(seed: int) -> Database:
    """Tables of some hundred rows around one instant, one cell in ten None."""
    dice = random.Random(seed)
    opening = _OPENINGS[seed % len(_OPENINGS)]
    crowd: Mapping[str, Sequence[Any]] = {
        "user_id": tuple("abcdefghijklmnopqrstuvwxyz"),
        "room_id": range(1, 30),
    }
    found: dict[str, list[Row]] = {}
    for table, schema in SCHEMAS.items():
        count = dice.randrange(100, 300)
        rows = [
            {
                name: None
                if dice.random() < 0.1
                else dice.choice(crowd.get(name) or _values(table, name, opening))
                for name in schema
            }
            for _ in range(count)
        ]
        found[table] = _with_ids(table, rows, dice.sample(range(count), count))
    return found


databases = _databases()


def frame(table: str, rows: list[Row]) -> pl.DataFrame:
    """*rows* with the schema of *table*."""
    schema = SCHEMAS[table]
    return pl.DataFrame([{c: row[c] for c in schema} for row in rows], schema=schema)


@contextmanager
def _files(database: Database, part_rows: int = 4) -> Iterator[dict[str, list[Path]]]:
    """The tables as Parquet files, each in parts of *part_rows*."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, list[Path]] = {}
        for table, rows in database.items():
            whole = frame(table, rows)
            slices = list(whole.iter_slices(part_rows)) or [whole]
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
    for zone in ZONES:
        assert not catalogue_of(zone).errors
    schemas: dict[str, dict[str, str]] = dict(COLUMNS)
    for definition in catalogue_of().definitions:
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
    assert sorted(each.name for each in catalogue_of().tables) == TABLES
    assert [report.name for report in catalogue_of().reports] == ["room_pace"]


@pytest.mark.parametrize("seed", range(examples(5, 5)))
@pytest.mark.parametrize("name", TABLES)
def test_a_shipped_table_equals_its_oracle_on_crowded_tables(
    name: str, seed: int
) -> None:
    """Hundreds of rows that share users, rooms, weeks and instants."""
    database, zone = dense_database(seed), ZONES[seed % len(ZONES)]
    with _files(database, part_rows=60) as files:
        result = _result(_definition(catalogue_of(zone), name), files)
    assert result == ORACLES[name](database, ZoneInfo(zone))


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=examples(8, 125), deadline=None)
@given(database=databases, zone=st.sampled_from(ZONES))
def test_a_shipped_table_equals_its_oracle(
    name: str, database: Database, zone: str
) -> None:
    """Values and order, with nulls in each column, in several time zones."""
    definition = _definition(catalogue_of(zone), name)
    with _files(database) as files:
        assert _result(definition, files) == ORACLES[name](database, ZoneInfo(zone))


@settings(max_examples=examples(8, 125), deadline=None)
@given(
    database=databases,
    zone=st.sampled_from(ZONES),
    since=st.none() | st.sampled_from([date(2024, 6, 1), date(2025, 1, 1)]),
)
def test_the_shipped_report_equals_its_oracle(
    database: Database, zone: str, since: date | None
) -> None:
    """Of each room, with and without a first day."""
    catalogue = catalogue_of(zone)
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


@settings(max_examples=examples(2, 20), deadline=None)
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
                assert report.outcome in (BuildOutcome.BUILT, BuildOutcome.UNCHANGED), (
                    report
                )
                expected = ORACLES[name](database, ZoneInfo(zone))
                assert derived(data, name).rows() == expected, name


def _definition(catalogue: Catalogue, name: str) -> Definition:
    return next(d for d in catalogue.definitions if d.name == name)
