"""Result models: published schemas, and descriptions that hold for every query."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from pydantic.json_schema import models_json_schema

from calculations.analytics import analytics, collect_as
from calculations.period import DateRange, Interval, Period
from calculations.results import Analytics, Daily, HistoricalRow, RoomStats
from tests.support.effort import some_long
from tests.support.frames import EMPTY, START, at, tables, vote

MODELS = (Analytics, Daily, RoomStats)
NOW = at("2027-03-03 12:00")
SCHEMAS: dict[str, Any] = models_json_schema(
    [(model, "serialization") for model in MODELS]
)[1]["$defs"]


def descriptions(row: str) -> dict[str, str]:
    """Field -> published description of one kind of row, on one line."""
    fields: dict[str, Any] = SCHEMAS[row]["properties"]
    return {name: field.get("description", "") for name, field in fields.items()}


def test_only_models_are_published_as_schemas() -> None:
    """Aliases such as Rounded and Counts are inlined."""
    assert set(SCHEMAS) == {
        "Analytics",
        "Behaviour",
        "City",
        "Daily",
        "HistoricalRow",
        "LocationAndUserAgent",
        "Region",
        "ReoccurringRow",
        "RoomStats",
        "Traffic",
        "Votes",
    }


def test_reading_and_writing_share_one_schema() -> None:
    """No name is published twice, as -Input and as -Output."""
    modes: list[Literal["validation", "serialization"]]
    modes = ["validation", "serialization"]
    pairs = [(model, mode) for model in MODELS for mode in modes]
    both = models_json_schema(pairs)[1]["$defs"]
    assert set(both) == set(SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_model_and_every_figure_is_described(name: str) -> None:
    """Only names of places and whole sections have no text of their own."""
    assert SCHEMAS[name]["description"]
    if name in {"Analytics", "City", "Region"}:
        return
    for field, text in descriptions(name).items():
        assert text, f"{name}.{field}"


@pytest.mark.parametrize("row", ["HistoricalRow", "ReoccurringRow"])
def test_rows_are_described_for_every_interval_and_for_weekends(row: str) -> None:
    """The row's text defines listed days; no field speaks of single days only."""
    text = " ".join(SCHEMAS[row]["description"].split())
    assert "one day, week or month" in text
    assert "Monday to Friday, or every day with weekends=true" in text
    date_text = descriptions(row)["date"]
    for first_day in ("listed day itself", "Monday of the week", "1st of the month"):
        assert first_day in date_text
    assert "can be before the range or START_DATE" in date_text
    for field, description in descriptions(row).items():
        for claim in ("this day", "Monday to Friday", "30 listed days"):
            assert claim not in description, field


def test_sums_and_averages_are_described_by_rows() -> None:
    """They start with the series, and an average covers 30 rows of any interval."""
    for field, text in descriptions("HistoricalRow").items():
        if field.startswith("acc_"):
            assert "starting with the first row of the series" in text
        if field.startswith("ma_"):
            assert "last 30 rows (days, weeks or months)" in text
            assert "null in the first 29 rows" in text
    description = " ".join(SCHEMAS["HistoricalRow"]["description"].split())
    assert "start at START_DATE or, with a range, with the range" in description


@pytest.mark.parametrize(
    ("model", "field"),
    [("Traffic", "bounce_rate"), ("Traffic", "average_duration")],
)
def test_figures_from_start_date_say_what_a_range_changes(
    model: str, field: str
) -> None:
    """START_DATE limits them only without a range."""
    text = descriptions(model)[field]
    assert "With a range" in text
    assert "without one" in text
    assert "START_DATE" in text


@dataclass(frozen=True)
class SeriesQuery:
    """One combination of the parameters of a series."""

    interval: Interval
    weekends: bool
    days: DateRange | None

    def rows(self) -> list[HistoricalRow]:
        """The historical series; a vote was cast in the first hour of every calendar day."""
        period = Period(
            START, NOW, ZoneInfo("UTC"), self.days, self.interval, self.weekends
        )
        first = START - timedelta(days=10)
        votes = [
            vote(voted_at=at(f"{first + timedelta(days=n)} 00:30")) for n in range(1030)
        ]
        plan = analytics(tables(EMPTY | {"votes": votes}), period, ["historical"])
        return collect_as(Analytics, plan).historical or []


@pytest.fixture(
    scope="module",
    params=some_long(
        [
            pytest.param(SeriesQuery(interval, weekends, days))
            for interval in Interval
            for weekends in (False, True)
            for days in (None, DateRange(date(2024, 6, 12), date(2027, 1, 6)))
        ],
        7,
    ),
    ids=str,
)
def query(request: pytest.FixtureRequest) -> SeriesQuery:
    """Every combination of interval, weekends and range."""
    found: SeriesQuery = request.param
    return found


def test_a_row_is_dated_as_described(query: SeriesQuery) -> None:
    """By the listed day itself, the Monday of the week, or the 1st of the month."""
    for row in query.rows():
        match query.interval:
            case Interval.DAY | Interval.HOUR:
                assert query.weekends or row["date"].weekday() < 5
            case Interval.WEEK:
                assert row["date"].weekday() == 0
            case Interval.MONTH:
                assert row["date"].day == 1


FIRST_WEEK = {
    (False, False): 5,
    (False, True): 7,
    (True, False): 3,
    (True, True): 5,
}
FIRST_MONTH = {
    (False, False): 20,
    (False, True): 28,
    (True, False): 13,
    (True, True): 19,
}
"""Whether there is a range, and whether weekends are listed -> listed days."""


def test_the_series_starts_as_described(query: SeriesQuery) -> None:
    """The first interval is cut by START_DATE or by the range: 3 or 12 June 2024."""
    days = 1
    if query.interval is Interval.WEEK:
        days = FIRST_WEEK[query.days is not None, query.weekends]
    if query.interval is Interval.MONTH:
        days = FIRST_MONTH[query.days is not None, query.weekends]
    first = query.rows()[0]
    assert first["date"] <= (query.days.first if query.days else START)
    assert first["votes"] == days


def test_sums_and_averages_cover_rows_as_described(query: SeriesQuery) -> None:
    """Sums start with the first row; averages cover 30 rows, None in the first 29."""
    rows = query.rows()
    votes = [row["votes"] or 0 for row in rows]
    assert [row["acc_votes"] for row in rows] == list(accumulate(votes))
    assert len(rows) > 30
    assert [row["ma_votes"] for row in rows[:29]] == [None] * 29
    for number, row in enumerate(rows[29:]):
        assert row["ma_votes"] == round(sum(votes[number : number + 30]) / 30, 2)
