"""Quarters of an hour: counts that add up to the days and hours of any time zone."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS, analytics
from calculations.filters import Filters
from calculations.period import DateRange, Interval, Period
from readmodel.store import quarters
from readmodel.store.side_files import QUARTERS
from readmodel.store.snapshot import Snapshot
from routers.filter_syntax import parse_filters
from routers.tables import open_tables
from tests.support.effort import examples
from tests.support.frames import at, databases, frame, moments, period, tables, tallied
from tests.support.oracle import Database, Rows
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import assert_written_from_the_part, publish

PERIOD = period(now=TAKEN_AT)
COUNTED = ["votes", "historical"]

ALL_ZONES = sorted(available_timezones() - {"Factory", "localtime"})
ZONES = ["UTC", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe"]
DAYS = DateRange(date(2024, 6, 4), date(2024, 11, 5))
PERIODS: Mapping[str, Mapping[str, object]] = {
    "all": {},
    "weeks": {"interval": Interval.WEEK, "weekends": True},
    "range": {"range": DAYS},
    "averages": {"range": DAYS, "average_rows": 5},
    "hours": {"range": DateRange(DAYS.first, DAYS.first), "interval": Interval.HOUR},
    "until": {"range": DAYS, "until": at("2024-11-04 17:07")},
}


@pytest.fixture
def published(tmp_path: Path) -> Snapshot:
    """The sample, each table in three parts."""
    return publish(tmp_path, SAMPLE, TAKEN_AT, parts=3)


def microseconds_after_1970(number: int) -> datetime:
    """Or before it, if negative."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)


ANY_MOMENTS = st.integers(-(2**51), 2**51).map(microseconds_after_1970)
"""From 1898 to 2041."""


def begin(moment: datetime | None) -> datetime | None:
    """The begin of its quarter, by the calendar; *moment* itself before 2012."""
    if moment is None or moment.year < 2012:
        return moment
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


@settings(max_examples=examples(30, 300), deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "room_id": st.none() | st.integers(1, 2),
                "estimated_at": st.none() | moments | ANY_MOMENTS,
            }
        ),
        max_size=12,
    )
)
def test_each_row_is_counted_in_its_quarter(rows: Rows) -> None:
    """Also where room or time are missing; one of before 2012 has its own time."""
    expected = Counter((row["room_id"], begin(row["estimated_at"])) for row in rows)
    found = quarters.derive(frame("estimations", rows), "fpp_estimations").collect()
    assert {(room, start): count for room, start, count in found.rows()} == expected
    assert found.columns == ["room_id", "estimated_at", "count"]


def cuts(zone: str) -> Sequence[Callable[[str], pl.Expr]]:
    """How days and hours are cut in *zone*."""
    asked = replace(PERIOD, zone=ZoneInfo(zone))
    return asked.day_of, asked.hour_of


def quarters_at_changes(zone: str) -> pl.Series:
    """The quarters of each day, from 2012 to 2037, on which *zone* changes its clock."""
    days = pl.datetime_range(
        at("2012-01-01 00:00"), at("2038-01-01 00:00"), "1d", eager=True
    )
    clock = days.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    changed = days.filter(
        (clock.diff() != timedelta(days=1)).shift(-1, fill_value=False)
    )
    numbers = pl.DataFrame({"number": range(96)})
    quarter = pl.duration(minutes=15) * pl.col("number")
    return numbers.join(changed.to_frame("day"), how="cross").select(
        begin=pl.col("day") + quarter
    )["begin"]


@pytest.mark.parametrize(
    "zones",
    [
        ["America/St_Johns", "Antarctica/Casey", "Asia/Gaza", "Australia/Lord_Howe"],
        pytest.param(ALL_ZONES, marks=pytest.mark.long),
    ],
    ids=["odd changes", "all"],
)
def test_no_day_or_hour_begins_within_a_quarter_since_2012(zones: list[str]) -> None:
    """Clocks that are changed at 00:01 are put forward, which begins neither."""
    for zone in zones:
        begin = quarters_at_changes(zone)
        end = begin.dt.offset_by("15m").dt.offset_by("-1us")
        for cut in cuts(zone):
            first, last = (
                moments.to_frame("at").select(cut("at")) for moments in (begin, end)
            )
            assert first.equals(last), zone


@settings(max_examples=examples(40, 1000), deadline=None)
@given(
    zone=st.sampled_from(ALL_ZONES),
    drawn=st.lists(ANY_MOMENTS, max_size=8),
)
@example(zone="Africa/Monrovia", drawn=[at("1971-06-01 00:44:40")])
@example(zone="Pacific/Kiritimati", drawn=[at("1979-09-30 10:41")])
@example(zone="America/St_Johns", drawn=[at("2010-11-07 02:40")])
def test_days_and_hours_of_any_year_are_those_of_the_rows(
    zone: str, drawn: list[datetime]
) -> None:
    """Of any zone, whose clock once differed by minutes or seconds from UTC."""
    views = [{"viewed_at": moment} for moment in drawn]
    rows = frame("page_views", views)
    for cut in cuts(zone):
        counted = quarters.derive(rows, "fpp_page_views").select(
            cut("viewed_at"), "count"
        )
        found: Counter[object] = Counter()
        for day, count in counted.collect().rows():
            found[day] += count
        expected = rows.select(cut("viewed_at")).collect().to_series()
        assert found == Counter(expected)


@settings(max_examples=examples(12, 200), deadline=None)
@given(
    case=st.sampled_from(sorted(PERIODS)),
    database=databases,
    zone=st.sampled_from(ZONES),
)
def test_answers_are_equal_from_counts_and_from_rows(
    case: str, database: Database, zone: str
) -> None:
    """To the last value, whatever days and hours are asked for."""
    asked: Period = replace(PERIOD, zone=ZoneInfo(zone), **PERIODS[case])  # type: ignore[arg-type]
    expected = analytics(tables(database), asked).collect()
    assert analytics(tallied(database), asked).collect().equals(expected)


def test_both_engines_give_the_same_from_counts(published: Snapshot) -> None:
    """And the same as from the rows."""
    opened = open_tables(published)
    expected = analytics(opened.without_tallies(), PERIOD).collect()
    for engine in (pl.InMemoryEngine(), pl.StreamingEngine()):
        found = analytics(opened, PERIOD).collect(engine=engine)
        assert found.select(SECTIONS).equals(expected.select(SECTIONS))


def test_series_read_quarters_instead_of_the_rows(published: Snapshot) -> None:
    """Of all but rooms, of which there are few; with a range, too."""
    for days in (None, DAYS):
        plan = analytics(
            open_tables(published), replace(PERIOD, range=days), ["historical"]
        )
        read = plan.explain()
        for table in quarters.COLUMNS:
            assert f"/{table}.quarters/" in read
            assert f"/{table}.parquet/" not in read
            assert f"/{table}.visits/" not in read


@pytest.mark.parametrize("days", [None, DAYS])
def test_rooms_return_by_their_quarters(
    published: Snapshot, days: DateRange | None
) -> None:
    """Their days come from far fewer rows than those of users."""
    asked = replace(PERIOD, range=days)
    read = analytics(open_tables(published), asked, ["reoccurring"]).explain()
    assert "/fpp_estimations.quarters/" in read
    unfinished = replace(asked, range=DAYS, until=at("2024-11-04 17:07"))
    read = analytics(open_tables(published), unfinished, ["reoccurring"]).explain()
    assert ".quarters/" not in read


@pytest.mark.parametrize(
    ("until", "filters"),
    [
        (at("2024-11-04 17:07"), Filters()),
        (None, parse_filters("country:DE")),
        (None, parse_filters("room_id:1")),
    ],
)
def test_some_of_the_rows_are_counted(
    published: Snapshot, until: datetime | None, filters: Filters
) -> None:
    """Quarters know no users, and what ends within a quarter has a part of it."""
    asked = replace(PERIOD, range=DAYS, until=until)
    plan = analytics(open_tables(published), asked, COUNTED, filters)
    assert ".quarters/" not in plan.explain()


@pytest.mark.parametrize(
    ("until", "whole"),
    [
        (None, True),
        (at("2024-11-04 17:15"), True),
        (at("2024-11-04 17:15") + timedelta(microseconds=1), False),
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_days_of_all_zones_have_whole_quarters(
    zone: str, until: datetime | None, *, whole: bool
) -> None:
    """Kathmandu's begin at 18:15 UTC."""
    asked = replace(PERIOD, zone=ZoneInfo(zone), range=DAYS, until=until)
    assert asked.has_whole_quarters is whole


def test_without_its_quarters_a_table_is_counted(published: Snapshot) -> None:
    """The others are not."""
    before = analytics(open_tables(published), PERIOD, COUNTED).collect()
    published.side_files("fpp_users", QUARTERS)[1].unlink()
    assert published.quarters("fpp_users") is None
    opened = open_tables(published)
    assert opened.quarters.keys() == {"estimations", "page_views", "votes"}
    assert analytics(opened, PERIOD, COUNTED).collect().equals(before)


def test_a_snapshot_of_an_earlier_version_gets_them_with_the_next(
    published: Snapshot, tmp_path: Path
) -> None:
    """From its parts; what is there is linked."""
    assert_written_from_the_part(tmp_path, published, "fpp_votes", QUARTERS)


def test_a_table_without_the_columns_has_no_quarters() -> None:
    """A source may lack one."""
    assert quarters.applies_to("fpp_votes", ["id", "voted_at"])
    assert not quarters.applies_to("fpp_votes", ["id", "room_id"])
    assert not quarters.applies_to("fpp_estimations", ["id", "estimated_at"])
    assert not quarters.applies_to("fpp_rooms", ["id", "first_used_at"])


@pytest.mark.parametrize("table", quarters.COLUMNS)
def test_the_schema_is_that_of_the_files(published: Snapshot, table: str) -> None:
    """Plans for other hosts name it, since the files are not there to be read."""
    assert published.manifest is not None
    scan = published.quarters(table)
    assert scan is not None
    columns = published.manifest.tables[table].schema
    assert scan.collect_schema() == quarters.schema(table, columns)
