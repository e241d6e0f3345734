"""Tallies: the same breakdowns as by counting the rows, from far fewer of them."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from calculations import votes
from calculations.analytics import SECTIONS, analytics
from calculations.filters import Filters
from calculations.period import DateRange
from readmodel.store import tallies
from readmodel.store.side_files import TALLIES
from readmodel.store.snapshot import Snapshot
from routers.filter_syntax import parse_filters
from routers.tables import open_tables
from tests.support.frames import frame, period
from tests.support.oracle import Rows
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import assert_written_from_the_part, publish

TALLIED = ["votes", "behaviour", "location_and_user_agent"]
PERIOD = period(now=TAKEN_AT)

names = st.none() | st.sampled_from(["", "a", "b", "Unknown"])
users = st.lists(
    st.fixed_dictionaries(dict.fromkeys(tallies.COLUMNS["fpp_users"], names)),
    max_size=12,
)


@pytest.fixture
def published(tmp_path: Path) -> Snapshot:
    """The sample, each table in three parts."""
    return publish(tmp_path, SAMPLE, TAKEN_AT, parts=3)


@given(rows=users)
def test_a_tally_counts_each_combination_of_values(rows: Rows) -> None:
    """Null and an empty text are values of their own."""
    columns = tallies.COLUMNS["fpp_users"]
    counted: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = tuple(row[name] for name in columns)
        counted[key] = counted.get(key, 0) + 1
    found = tallies.derive(frame("users", rows), "fpp_users").collect()
    assert {row[:-1]: row[-1] for row in found.rows()} == counted
    assert found.columns == [*columns, "count"]


@given(rows=users, most=st.integers(1, 5))
def test_a_file_counts_the_rows_of_all_slices(rows: Rows, most: int) -> None:
    """It is the tally of the whole, in its order."""
    whole = frame("users", rows).lazy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "SLICE_ROWS", most)
        content = tallies.encode(whole, "fpp_users")
    expected = tallies.derive(whole, "fpp_users").collect()
    assert_frame_equal(pl.read_parquet(content), expected)


def test_sections_are_equal_from_tallies_and_from_rows(published: Snapshot) -> None:
    """To the last value and in the same order, with each engine."""
    tables = open_tables(published)
    for engine in (pl.InMemoryEngine(), pl.StreamingEngine()):
        first = analytics(tables, PERIOD).collect(engine=engine)
        second = analytics(tables.without_tallies(), PERIOD).collect(engine=engine)
        assert first.select(SECTIONS).equals(second.select(SECTIONS))


def test_the_whole_answer_reads_tallies_instead_of_the_rows(
    published: Snapshot,
) -> None:
    """But for the votes of each room, which are nearly as many as votes."""
    read = analytics(open_tables(published), PERIOD, TALLIED).explain()
    for table in tallies.COLUMNS:
        assert f"/{table}.tallies/" in read
        assert (f"/{table}.parquet/" in read) is (table == "fpp_votes")


@pytest.mark.parametrize(
    ("days", "filters"),
    [
        (DateRange(TAKEN_AT.date(), TAKEN_AT.date()), Filters()),
        (None, parse_filters("country:DE")),
        (None, parse_filters("route:HOME")),
        (None, parse_filters("room_id:1")),
    ],
)
def test_some_of_the_rows_are_counted(
    published: Snapshot, days: DateRange | None, filters: Filters
) -> None:
    """A tally is of all: it knows neither days nor users nor rooms."""
    some = replace(PERIOD, range=days)
    plan = analytics(open_tables(published), some, TALLIED, filters)
    assert ".tallies/" not in plan.explain()


def test_without_its_tally_a_table_is_counted(published: Snapshot) -> None:
    """The others are not."""
    before = analytics(open_tables(published), PERIOD, TALLIED).collect()
    published.side_files("fpp_users", TALLIES)[1].unlink()
    assert published.tally("fpp_users") is None
    tables = open_tables(published)
    assert tables.page_view_tally is not None
    assert analytics(tables, PERIOD, TALLIED).collect().equals(before)


def test_a_snapshot_of_an_earlier_version_gets_them_with_the_next(
    published: Snapshot, tmp_path: Path
) -> None:
    """From its parts; what is there is linked."""
    assert_written_from_the_part(tmp_path, published, "fpp_page_views", TALLIES)


def test_a_table_without_the_columns_has_no_tallies() -> None:
    """A source may lack one."""
    assert tallies.applies_to("fpp_page_views", ["id", "route", "source"])
    assert not tallies.applies_to("fpp_page_views", ["id", "route"])
    assert not tallies.applies_to("fpp_votes", ["id", "route", "source"])
    assert not tallies.applies_to("fpp_rooms", ["id", "route", "source"])


def test_the_sums_are_those_that_the_means_of_votes_need() -> None:
    """Statistics and the read model import nothing of each other."""
    assert tallies.SUMMED["fpp_votes"] == votes.SUMMED


amounts = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(rows=st.lists(st.lists(amounts, min_size=6, max_size=6), max_size=6))
def test_the_tally_of_votes_has_exact_sums(rows: list[list[int | None]]) -> None:
    """Of 64-bit integers, too; missing values are not counted."""
    columns = tallies.SUMMED["fpp_votes"]
    frame_ = pl.LazyFrame(rows, schema=dict.fromkeys(columns, pl.Int64), orient="row")
    (found,) = tallies.derive(frame_, "fpp_votes").collect().to_dicts()
    for name, values in zip(columns, zip(*rows, strict=True), strict=False):
        known = [value for value in values if value is not None]
        assert (found[name], found[f"{name}_count"]) == (sum(known), len(known))
    assert found["count"] == len(rows)


@pytest.mark.parametrize(
    ("dtype", "exact"),
    [
        (pl.Float64(), False),
        (pl.Int16(), True),
        (pl.UInt64(), True),
        (pl.Decimal(28, 2), True),
        (pl.Decimal(29, 2), False),
    ],
)
def test_votes_are_added_up_again_unless_sums_are_exact(
    dtype: pl.DataType, *, exact: bool
) -> None:
    """The order of additions changes a sum of floats, so a snapshot does not use it."""
    columns = dict.fromkeys(tallies.SUMMED["fpp_votes"], pl.Int16())
    schema = pl.Schema({**columns, "duration": dtype})
    assert tallies.are_exact("fpp_votes", schema) is exact
    tally = tallies.derive(pl.LazyFrame(schema=schema), "fpp_votes")
    assert tally.collect_schema() == tallies.schema("fpp_votes", schema)


@pytest.mark.parametrize("table", tallies.COLUMNS)
def test_the_schema_is_that_of_the_files(published: Snapshot, table: str) -> None:
    """Plans for other hosts name it, since the files are not there to be read."""
    assert published.manifest is not None
    scan = published.tally(table)
    assert scan is not None
    columns = published.manifest.tables[table].schema
    assert scan.collect_schema() == tallies.schema(table, columns)
