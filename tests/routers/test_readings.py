"""What a computation is said to read, compared with what its plan reads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from calculations.analytics import SECTIONS, analytics
from calculations.breakdown import Dimension, breakdown
from calculations.daily import daily
from calculations.filters import NO_FILTERS
from calculations.period import Period
from calculations.room_stats import of_room, room_stats
from calculations.rooms import RoomOrder, RoomSearch, room_details, room_list
from calculations.tables import Tables
from readmodel.store import sorted_activity
from readmodel.store.snapshot import Snapshot
from routers.query import AnalyticsParameters
from routers.readings import (
    ROOM_DETAILS,
    ROOM_LIST,
    ROOM_STATS,
    Reading,
    reading_of_daily,
    reading_of_dimension,
    reading_of_sections,
)
from routers.tables import open_tables
from tests.routers.conftest import make_settings
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

PERIOD: Final = AnalyticsParameters().resolve(make_settings(), NOW)
SEARCH: Final = RoomSearch("", RoomOrder.LAST_VOTE_DESCENDING, 40, 0)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot of the sample."""
    return publish(tmp_path_factory.mktemp("readings"), SAMPLE, TAKEN_AT)


def plans(tables: Tables, period: Period) -> Iterator[tuple[Reading, pl.LazyFrame]]:
    """Every kind of computation: what it is said to read, and its plan."""
    for section in SECTIONS:
        reading = reading_of_sections([section], period)
        yield reading, analytics(tables, period, [section])
    for dimension in Dimension:
        reading = reading_of_dimension(dimension, period, NO_FILTERS)
        yield reading, breakdown(tables, dimension, period, NO_FILTERS)
    yield ROOM_STATS, room_stats(of_room(tables.votes, 1), period)
    yield ROOM_DETAILS, room_details(tables, 1, period)
    yield ROOM_LIST, room_list(tables, period, SEARCH)
    yield reading_of_daily(period), daily(tables.votes, tables.page_views, period)


def test_each_table_that_a_plan_reads_is_compared_before(snapshot: Snapshot) -> None:
    """A table that is not named would not be compared with its checksums."""
    for reading, plan in plans(open_tables(snapshot), PERIOD):
        explained = plan.explain()
        read = set(re.findall(r"/(fpp_\w+)\.(?:parquet|visits|tallies)/", explained))
        if f"/{sorted_activity.FOLDER}/" in explained:
            read.add(sorted_activity.ESTIMATED)
        assert read, plan
        assert read <= set(reading.columns), reading
        assert Path(snapshot.path).exists()
