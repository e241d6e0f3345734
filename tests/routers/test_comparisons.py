"""`period` and `compare`: the days they resolve to, and combinations that are refused."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from routers.query import AnalyticsParameters
from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW, START, at
from tests.support.oracle import Oracle
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

SINCE = date(2020, 1, 1)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    data_dir: Path = tmp_path_factory.mktemp("comparisons") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir)) as client:
        yield client


def resolve(today: str, **given: str) -> tuple[Any, Any]:
    """The range, and the range compared with, at noon of *today*."""
    query = AnalyticsParameters.model_validate(
        {name.strip("_"): value for name, value in given.items()}
    )
    period = query.resolve(make_settings(start_date=SINCE), at(f"{today} 12:00"))
    earlier = query.compared(period)
    return period.range, earlier and earlier.range


def days(first: str, last: str) -> tuple[date, date]:
    """Two dates."""
    return date.fromisoformat(first), date.fromisoformat(last)


@pytest.mark.parametrize(
    ("period", "today", "first", "last"),
    [
        ("yesterday", "2026-03-01", "2026-02-28", "2026-02-28"),
        ("28d", "2026-11-25", "2026-10-29", "2026-11-25"),
        ("91d", "2026-11-25", "2026-08-27", "2026-11-25"),
        ("last_month", "2026-03-31", "2026-02-01", "2026-02-28"),
        ("last_month", "2026-01-01", "2025-12-01", "2025-12-31"),
        ("12m", "2026-11-25", "2025-11-26", "2026-11-25"),
        ("12m", "2028-02-29", "2027-03-01", "2028-02-29"),
        ("yesterday", "2020-01-01", "2020-01-01", "2020-01-01"),
        ("last_month", "2020-01-20", "2020-01-01", "2020-01-01"),
    ],
)
def test_named_ranges_resolve_to_days(
    period: str, today: str, first: str, last: str
) -> None:
    """None begins before START_DATE, 1 January 2020."""
    assert resolve(today, period=period)[0] == days(first, last)


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ({"compare": "previous"}, "2026-09-27", "2026-10-26"),
        ({"compare": "previous", "match": "weekday"}, "2026-09-22", "2026-10-21"),
        ({"compare": "year"}, "2025-10-27", "2025-11-25"),
        ({"compare": "year", "match": "weekday"}, "2025-10-28", "2025-11-26"),
        (
            {
                "compare": "custom",
                "compare_from": "2026-01-01",
                "compare_to": "2026-01-03",
            },
            "2026-01-01",
            "2026-01-03",
        ),
    ],
)
def test_the_range_of_30_days_is_compared_with(
    given: dict[str, str], first: str, last: str
) -> None:
    """27 October to 25 November 2026, a Tuesday to a Wednesday."""
    assert resolve("2026-11-25", period="30d", **given)[1] == days(first, last)


def test_a_leap_day_is_compared_with_28_february() -> None:
    """The year before has none."""
    got = resolve("2028-03-01", from_="2028-02-29", to="2028-02-29", compare="year")
    assert got[1] == days("2027-02-28", "2027-02-28")


@given(
    first=st.dates(date(2021, 6, 1), date(2026, 1, 1)),
    length=st.integers(1, 200),
    compare=st.sampled_from(["previous", "year"]),
)
def test_with_match_each_day_meets_its_weekday(
    first: date, length: int, compare: str
) -> None:
    """The ranges are of equal length, and those of `previous` do not overlap."""
    last = first + timedelta(days=length - 1)
    (_, earlier) = resolve(
        "2026-11-25",
        from_=first.isoformat(),
        to=last.isoformat(),
        compare=compare,
        match="weekday",
    )
    assert earlier.first.weekday() == first.weekday()
    assert earlier.last - earlier.first == last - first
    if compare == "previous":
        assert timedelta(0) < first - earlier.last <= timedelta(days=7)


@pytest.mark.parametrize(
    ("given", "name", "allowed"),
    [
        ({"match": "weekday"}, "match", "compare=previous or compare=year"),
        ({"compare_from": "2026-01-01"}, "compare_from", "compare=custom"),
        (
            {"compare": "previous", "compare_to": "2026-01-01"},
            "compare_to",
            "compare=custom",
        ),
        ({"compare": "custom"}, "compare", "compare_from and compare_to"),
        (
            {"compare": "custom", "compare_from": "2026-01-01"},
            "compare",
            "compare_from and compare_to",
        ),
        (
            {
                "compare": "custom",
                "compare_from": "2019-12-31",
                "compare_to": "2020-01-01",
            },
            "compare_from",
            "2020-01-01 (START_DATE) or later",
        ),
        (
            {
                "compare": "custom",
                "compare_from": "2026-01-02",
                "compare_to": "2026-01-01",
            },
            "compare_to",
            "or later",
        ),
        (
            {
                "compare": "custom",
                "compare_from": "2020-01-02",
                "compare_to": "2030-01-02",
            },
            "compare_to",
            "10 years",
        ),
        (
            {
                "compare": "custom",
                "compare_from": "2026-01-01",
                "compare_to": "2026-01-02",
                "match": "weekday",
            },
            "match",
            "compare=previous",
        ),
    ],
)
def test_combinations_without_meaning_are_refused(
    given: dict[str, str], name: str, allowed: str
) -> None:
    """Nothing is ignored silently."""
    with pytest.raises(RequestValidationError) as error:
        resolve("2026-11-25", period="30d", **given)
    (problem,) = error.value.errors()
    assert problem["loc"] == ("query", name)
    assert allowed in problem["msg"]


@pytest.mark.parametrize("path", ["/", "/daily-analytics", "/room/1/stats"])
@pytest.mark.parametrize("compare", ["year", "custom"])
def test_other_comparisons_need_a_range(
    client: TestClient, path: str, compare: str
) -> None:
    """The last 24 hours have a day before, but no year before."""
    query = {"compare": compare}
    if compare == "custom":
        query |= {"compare_from": "2024-07-01", "compare_to": "2024-07-02"}
    assert client.get(path, params=query).status_code == 422


@pytest.mark.parametrize("path", ["/", "/daily-analytics", "/room/1/stats"])
def test_the_answer_has_the_figures_of_the_days_compared_with(
    client: TestClient, path: str
) -> None:
    """`query` has their dates; with `compare=previous` alone it has not, as before."""
    query = {"from": "2024-08-01", "to": "2024-08-01", "compare": "custom"}
    query |= {"compare_from": "2024-06-03", "compare_to": "2024-06-04"}
    got = client.get(path, params=query).json()
    oracle = Oracle(
        SAMPLE, START, NOW, ZoneInfo("UTC"), days("2024-06-03", "2024-06-04")
    )
    expected = {
        "/": oracle.vote_figures()["total_votes"],
        "/daily-analytics": oracle.daily()["votes"],
        "/room/1/stats": oracle.room(1)["votes"],
    }
    previous = got["previous"]
    found = previous["votes"]["total_votes"] if path == "/" else previous["votes"]
    assert found == expected[path]
    assert got["query"]["compare_from"] == "2024-06-03"
    assert got["query"]["compare_to"] == "2024-06-04"
    plain = client.get(path, params={"period": "7d", "compare": "previous"}).json()
    assert "compare_from" not in plain["query"]


SO_FAR = {"compare": "previous", "so_far": "true"}


@pytest.mark.parametrize("path", ["/", "/daily-analytics", "/room/1/stats"])
@pytest.mark.parametrize("match", [{}, {"match": "weekday"}])
def test_so_far_compares_today_with_as_much_of_another_day(
    client: TestClient, path: str, match: dict[str, str]
) -> None:
    """Until the time of day of the data. Without it, whole days are compared, as before."""
    day = TAKEN_AT.date() - timedelta(days=7 if match else 1)
    until = TAKEN_AT - timedelta(days=7 if match else 1)
    got = client.get(path, params={"period": "today", **SO_FAR, **match}).json()
    oracle = Oracle(SAMPLE, START, NOW, ZoneInfo("UTC"), (day, day), until=until)
    assert (
        figures(path, got["previous"])
        == {
            "/": oracle.traffic(),
            "/daily-analytics": oracle.daily(),
            "/room/1/stats": oracle.room(1),
        }[path]
    )
    assert got["query"]["compare_to"] == f"{day}"
    assert got["query"]["compare_until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    whole = client.get(path, params={"period": "today", "compare": "previous"}).json()
    day = TAKEN_AT.date() - timedelta(days=1)
    oracle = Oracle(SAMPLE, START, NOW, ZoneInfo("UTC"), (day, day))
    assert (
        figures(path, whole["previous"])
        == {
            "/": oracle.traffic(),
            "/daily-analytics": oracle.daily(),
            "/room/1/stats": oracle.room(1),
        }[path]
    )
    assert "compare_until" not in whole["query"]
    # Either way the answer says that today is not over.
    for answer in (got, whole):
        assert answer["query"]["unfinished_until"] == f"{TAKEN_AT:%Y-%m-%dT%H:%M:%SZ}"


def figures(path: str, previous: dict[str, Any]) -> Any:
    """The figures of *previous* that the test compares."""
    return previous["traffic"] if path == "/" else previous


def test_a_range_that_is_over_is_compared_as_a_whole(client: TestClient) -> None:
    """With and without `so_far`."""
    query = {"from": "2024-07-31", "to": "2024-07-31", "compare": "previous"}
    plain = client.get("/", params=query).json()
    got = client.get("/", params=query | {"so_far": "true"}).json()
    assert got["previous"] == plain["previous"]
    assert got["change"] == plain["change"]
    assert "compare_until" not in got["query"]
    assert "unfinished_until" not in got["query"]


@pytest.mark.parametrize(
    ("last", "zone", "unfinished"),
    [
        (TAKEN_AT.date(), "UTC", True),
        (TAKEN_AT.date() - timedelta(days=1), "UTC", False),
        (TAKEN_AT.date() + timedelta(days=1), "UTC", True),
        # There, the day of the data has ended already.
        (TAKEN_AT.date(), "Pacific/Kiritimati", False),
        (TAKEN_AT.date() - timedelta(days=1), "Pacific/Pago_Pago", False),
    ],
)
def test_a_range_that_is_not_over_says_until_when_there_is_data(
    client: TestClient, last: date, zone: str, unfinished: bool
) -> None:
    """With or without a comparison, in the days of the zone."""
    query = {"from": "2024-07-01", "to": f"{last}", "tz": zone}
    for path in ("/", "/room/1/stats", "/daily-analytics"):
        for further in ({}, {"compare": "previous"}):
            echo = client.get(path, params=query | further).json()["query"]
            assert ("unfinished_until" in echo) == unfinished


@pytest.mark.parametrize("query", [{"period": "7d", "so_far": "true"}, SO_FAR])
def test_so_far_without_a_range_or_a_comparison_is_refused(
    client: TestClient, query: dict[str, str]
) -> None:
    """Nothing is ignored silently."""
    got = client.get("/daily-analytics", params=query)
    assert got.status_code == 422
