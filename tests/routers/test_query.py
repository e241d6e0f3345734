"""Query parameters: their meaning, refusals, and their echo in the answer."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS
from calculations.period import Interval
from routers.query import AnalyticsParameters
from tests.routers.conftest import client_of, make_settings
from tests.support import oracle
from tests.support.effort import examples
from tests.support.frames import NOW, START, at
from tests.support.oracle import Oracle, previous_range
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

PATHS = ["/", "/daily-analytics", "/room/1/stats"]
SERVED = [*PATHS, "/historical.csv", "/breakdown/route.csv"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One read model for all tests here."""
    data_dir = tmp_path_factory.mktemp("query") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    return data_dir


@pytest.fixture(scope="module")
def client(published: Path) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    with client_of(make_settings(data_dir=published)) as client:
        yield client


def resolved(now: datetime = NOW, start: date = START, /, **given: str) -> Any:
    """The period of parameters; ``from_`` is `from`."""
    query = AnalyticsParameters.model_validate(
        {k.strip("_"): v for k, v in given.items()}
    )
    return query.resolve(make_settings(start_date=start), now)


def days(now: datetime = NOW, start: date = START, /, **given: str) -> tuple[str, str]:
    """First and last day of the range of parameters."""
    first, last = resolved(now, start, **given).range
    return first.isoformat(), last.isoformat()


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ({"from_": "2024-06-10"}, "2024-06-10", "2024-08-01"),
        ({"to": "2024-06-10"}, "2024-06-03", "2024-06-10"),
        ({"from_": "2024-06-10", "to": "2024-06-10"}, "2024-06-10", "2024-06-10"),
        ({"from_": "2024-06-03", "to": "2034-06-02"}, "2024-06-03", "2034-06-02"),
        ({"from_": "2024-08-02"}, "2024-08-02", "2024-08-02"),
        ({"from_": "2034-07-31", "to": "2034-07-31"}, "2034-07-31", "2034-07-31"),
        ({"from_": "2028-02-29", "to": "2028-02-29"}, "2028-02-29", "2028-02-29"),
        ({"period": "today"}, "2024-08-01", "2024-08-01"),
        ({"period": "7d"}, "2024-07-26", "2024-08-01"),
        ({"period": "30d"}, "2024-07-03", "2024-08-01"),
        ({"period": "90d"}, "2024-06-03", "2024-08-01"),
        ({"period": "month"}, "2024-08-01", "2024-08-01"),
        ({"period": "year"}, "2024-06-03", "2024-08-01"),
        ({"period": "all"}, "2024-06-03", "2024-08-01"),
    ],
)
def test_dates_and_named_ranges_resolve_to_days(
    given: dict[str, str], first: str, last: str
) -> None:
    """It is 1 August 2024; named ranges never begin before START_DATE."""
    assert days(**given) == (first, last)


@pytest.mark.parametrize(
    ("now", "zone", "today"),
    [
        ("2024-12-31 22:59", "Europe/Berlin", "2024-12-31"),
        ("2024-12-31 23:00", "Europe/Berlin", "2025-01-01"),
        ("2024-12-31 18:29", "Asia/Kolkata", "2024-12-31"),
        ("2024-12-31 18:30", "Asia/Kolkata", "2025-01-01"),
        ("2025-01-01 04:59", "America/New_York", "2024-12-31"),
        ("2028-02-29 23:59", "UTC", "2028-02-29"),
        ("2028-02-29 12:00", "Pacific/Kiritimati", "2028-03-01"),
    ],
)
def test_today_month_and_year_are_those_of_the_zone(
    now: str, zone: str, today: str
) -> None:
    """They change at midnight in that zone."""
    day = date.fromisoformat(today)
    assert days(at(now), period="today", tz=zone) == (today, today)
    first_of_month = day.replace(day=1).isoformat()
    assert days(at(now), period="month", tz=zone) == (first_of_month, today)
    new_year = max(day.replace(month=1, day=1), START).isoformat()
    assert days(at(now), period="year", tz=zone) == (new_year, today)


def test_without_dates_there_is_no_range() -> None:
    """A zone, an interval or weekends alone do not make one."""
    period = resolved(tz="Asia/Kathmandu", interval="week", weekends="true")
    assert period.range is None
    assert period.zone == ZoneInfo("Asia/Kathmandu")
    assert (period.interval, period.weekends) == (Interval.WEEK, True)


def test_a_start_in_the_future_is_the_earliest_day() -> None:
    """Every named range is that day."""
    start = date(2030, 1, 1)
    for name in ("today", "7d", "30d", "90d", "month", "year", "all"):
        assert days(NOW, start, period=name) == ("2030-01-01", "2030-01-01")


def test_ten_years_from_a_leap_day_end_before_march() -> None:
    """Ten years later there is no 29 February."""
    now = at("2028-02-29 12:00")
    assert days(now, from_="2028-02-29", to="2038-02-28")[1] == "2038-02-28"
    with pytest.raises(RequestValidationError):
        days(now, from_="2028-02-29", to="2038-03-01")


INVALID: list[tuple[str, str, Any, str]] = [
    ("from=2024-02-30", "from", "2024-02-30", "YYYY-MM-DD"),
    ("from=20240603", "from", "20240603", "YYYY-MM-DD"),
    ("from=2024-W23-1", "from", "2024-W23-1", "YYYY-MM-DD"),
    ("from=2024-06-03T00:00", "from", "2024-06-03T00:00", "YYYY-MM-DD"),
    ("from=1717372800", "from", "1717372800", "YYYY-MM-DD"),
    ("from=", "from", "", "YYYY-MM-DD"),
    ("from=2024-06-03%0A", "from", "2024-06-03\n", "YYYY-MM-DD"),
    ("from=%D9%A2%D9%A0%D9%A2%D9%A4-06-03", "from", "٢٠٢٤-06-03", "YYYY-MM-DD"),
    ("to=0000-00-00", "to", "0000-00-00", "YYYY-MM-DD"),
    ("to=yesterday", "to", "yesterday", "YYYY-MM-DD"),
    ("from=2024-06-02", "from", "2024-06-02", "2024-06-03 (START_DATE) or later"),
    ("to=2024-06-02", "to", "2024-06-02", "2024-06-03"),
    ("from=2024-06-10&to=2024-06-09", "to", "2024-06-09", "2024-06-10"),
    ("from=2024-06-03&to=2034-06-03", "to", "2034-06-03", "10 years"),
    ("from=2030-01-01&to=2034-08-01", "to", "2034-08-01", "10 years"),
    ("from=2034-08-01", "from", "2034-08-01", "10 years"),
    ("to=9999-12-31", "to", "9999-12-31", "10 years"),
    ("period=8d", "period", "8d", "'today', 'yesterday', '7d', '28d', '30d'"),
    ("period=", "period", "", "'today'"),
    ("period=7D", "period", "7D", "'7d'"),
    ("period=7d&from=2024-07-01", "from", "2024-07-01", "period=7d"),
    ("period=7d&to=2024-07-01", "to", "2024-07-01", "period=7d"),
    ("tz=../etc", "tz", "../etc", "IANA"),
    ("tz=/etc/passwd", "tz", "/etc/passwd", "IANA"),
    ("tz=", "tz", "", "IANA"),
    ("tz=localtime", "tz", "localtime", "IANA"),
    ("tz=%2B02:00", "tz", "+02:00", "IANA"),
    ("tz=europe/berlin", "tz", "europe/berlin", "IANA"),
    ("tz=UTC%00", "tz", "UTC\0", "IANA"),
    ("tz=%FF", "tz", "�", "IANA"),
    ("tz=" + "x" * 4000, "tz", "x" * 4000, "IANA"),
    ("tz=UTC&tz=Europe/Berlin", "tz", ["UTC", "Europe/Berlin"], "once"),
    ("limt=1", "limt", "1", "use from, to, period, tz"),
    ("From=2024-06-03", "From", "2024-06-03", "use from"),
    ("from_=2024-06-03", "from_", "2024-06-03", "use from"),
    ("%FF=%FF", "�", "�", "use from"),
    ("x=1&x=2", "x", ["1", "2"], "once"),
]


@pytest.mark.parametrize(("query", "name", "value", "allowed"), INVALID)
def test_an_invalid_parameter_is_422(
    client: TestClient, query: str, name: str, value: Any, allowed: str
) -> None:
    """The error names the parameter, the value as sent, and the allowed values."""
    for path in SERVED:
        problem = refused(client, f"{path}?{query}")
        assert (problem["parameter"], problem["value"]) == (name, value)
        assert allowed in problem["message"]


@pytest.mark.parametrize(
    ("query", "name", "value", "allowed"),
    [
        ("sections=", "sections", "", ", ".join(SECTIONS)),
        ("sections=traffic,", "sections", "traffic,", ", ".join(SECTIONS)),
        ("sections=Traffic", "sections", "Traffic", ", ".join(SECTIONS)),
        ("interval=minute", "interval", "minute", "'hour', 'day', 'week' or 'month'"),
        ("interval=hour", "interval", "hour", "at most 7 days"),
        ("interval=hour&period=28d", "interval", "hour", "at most 7 days"),
        ("weekends=maybe", "weekends", "maybe", "true or false"),
        ("weekends=", "weekends", "", "true or false"),
        ("compare=next&period=7d", "compare", "next", "'previous'"),
        ("compare=previous", "compare", "previous", "from, to or period"),
        ("compare=previous&tz=UTC", "compare", "previous", "from, to or period"),
    ],
)
def test_an_invalid_parameter_of_the_whole_answer_is_422(
    client: TestClient, query: str, name: str, value: str, allowed: str
) -> None:
    """Sections, interval, weekends, and a comparison without a range."""
    problem = refused(client, f"/?{query}")
    assert (problem["parameter"], problem["value"]) == (name, value)
    assert allowed in problem["message"]


def test_a_comparison_of_a_room_needs_a_range(client: TestClient) -> None:
    """The daily figures need none: they are compared with the 24 hours before."""
    problem = refused(client, "/room/1/stats?compare=previous")
    assert problem["parameter"] == "compare"
    assert client.get("/daily-analytics?compare=previous").status_code == 200


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        (path, parameter)
        for path in ("/daily-analytics", "/room/1/stats")
        for parameter in ("interval", "weekends", "sections")
    ],
)
def test_a_parameter_of_other_routes_is_422(
    client: TestClient, path: str, parameter: str
) -> None:
    """It is not ignored."""
    problem = refused(client, f"{path}?{parameter}=day")
    assert problem["parameter"] == parameter


def refused(client: TestClient, url: str) -> dict[str, Any]:
    """The only problem in the 422 response to *url*."""
    got = client.get(url)
    assert got.status_code == 422
    (problem,) = got.json()["errors"]
    assert set(problem) == {"parameter", "location", "message", "value"}
    assert problem["location"] == "query"
    return dict(problem)


@settings(max_examples=examples(60, 750), deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(["from", "to", "period", "tz", "compare", "sections", "x"])
        | st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
        st.text(st.characters(codec="utf-8"), max_size=12)
        | st.sampled_from(["2024-06-03", "7d", "UTC", "previous", "votes", "NaN"]),
        max_size=4,
    )
)
def test_no_query_causes_a_server_error(
    client: TestClient, query: dict[str, str]
) -> None:
    """Any text is accepted or refused, and every refusal can be encoded."""
    got = client.get("/room/1/stats", params=query)
    assert got.status_code in (200, 422)
    assert got.json()


@pytest.mark.parametrize(
    ("query", "first", "last", "zone", "interval", "weekends"),
    [
        ("period=7d", "2024-07-26", "2024-08-01", "UTC", "day", False),
        ("to=2024-06-04&interval=week", "2024-06-03", "2024-06-04", "UTC", "week", False),
        ("from=2024-07-31&tz=Asia/Tokyo", "2024-07-31", "2024-08-02", "Asia/Tokyo", "day", False),
        ("weekends=true", None, None, "UTC", "day", True),
        ("sections=votes", None, None, "UTC", "day", False),
    ],
)  # fmt: skip
def test_the_answer_echoes_the_resolved_query(
    client: TestClient,
    query: str,
    first: str | None,
    last: str | None,
    zone: str,
    interval: str,
    weekends: bool,
) -> None:
    """Named ranges become dates; `data_updated_at` is the snapshot's instant."""
    got = client.get(f"/?{query}").json()
    got["query"].pop("unfinished_until", None)  # see test_comparisons
    assert got["query"] == {
        "from": first,
        "to": last,
        "tz": zone,
        "interval": interval,
        "weekends": weekends,
        "compare": None,
    }
    assert got["data_updated_at"] == "2024-08-01T15:27:00Z"


@pytest.mark.parametrize("path", ["/daily-analytics", "/room/1/stats"])
def test_single_figures_have_the_envelope_too(client: TestClient, path: str) -> None:
    """Beside the figures; without parameters it is absent."""
    plain = client.get(path).json()
    got = client.get(f"{path}?period=today&compare=previous").json()
    assert set(got) - set(plain) == {"query", "data_updated_at", "previous", "change"}
    assert got["query"]["from"] == got["query"]["to"] == "2024-08-01"
    assert got["query"]["compare"] == "previous"
    assert got["data_updated_at"] == "2024-08-01T15:27:00Z"
    assert set(got["previous"]) == set(got["change"]) == set(plain)


def test_only_the_requested_sections_are_answered(client: TestClient) -> None:
    """Their order is fixed, whatever the order of the request."""
    got = client.get("/?sections=votes,traffic,votes").json()
    assert list(got["data"]) == ["traffic", "votes"]
    assert got["data"] == {
        name: section
        for name, section in client.get("/").json()["data"].items()
        if name in ("traffic", "votes")
    }


def test_without_parameters_there_is_no_envelope(client: TestClient) -> None:
    """Neither query nor comparison, and the members in order."""
    assert list(client.get("/").json()) == ["data", "data_updated_at"]
    daily = ["votes", "estimations", "rooms", "unique_users", "page_views"]
    assert list(client.get("/daily-analytics").json()) == daily


@settings(max_examples=examples(25, 300), deadline=None)
@given(
    first=st.dates(START, date(2024, 8, 5)),
    length=st.sampled_from([1, 2, 7, 30, 60]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
    interval=st.sampled_from(["day", "week", "month"]),
    weekends=st.booleans(),
    compare=st.booleans(),
    sections=st.lists(st.sampled_from(SECTIONS), min_size=1, unique=True),
)
def test_every_combination_equals_the_reference_implementation(
    client: TestClient,
    first: date,
    length: int,
    zone: str,
    interval: str,
    weekends: bool,
    compare: bool,
    sections: list[str],
) -> None:
    """The whole path from the URL to the JSON body is tested."""
    days = first, first + timedelta(days=length - 1)
    query: dict[str, Any] = {"from": days[0], "to": days[1], "tz": zone}
    query |= {"interval": interval, "weekends": weekends}
    query |= {"sections": ",".join(sections)}
    query |= {"compare": "previous"} if compare else {}
    got = client.get("/", params=query).json()

    def right(of: tuple[date, date]) -> Any:
        reference = Oracle(SAMPLE, START, NOW, ZoneInfo(zone), of, interval, weekends)
        wanted = {k: v for k, v in reference.answer().items() if k in sections}
        return json.loads(json.dumps(wanted, default=date.isoformat))

    assert got["data"] == right(days)
    assert ("previous" in got) == ("change" in got) == compare
    if compare:
        assert got["previous"] == right(previous_range(days))
        assert got["change"] == {
            name: oracle.percent_changes(got["data"][name], got["previous"][name])
            for name in ("traffic", "votes")
            if name in sections
        }


def test_daily_figures_are_compared_with_the_period_before(
    client: TestClient,
) -> None:
    """Two votes today, none the day before."""
    got = client.get("/daily-analytics?period=today&compare=previous").json()
    assert (got["votes"], got["previous"]["votes"]) == (2, 0)
    assert got["change"]["votes"] is None
    got = client.get("/daily-analytics?compare=previous").json()
    assert (got["page_views"], got["previous"]["page_views"]) == (2, 0)


@pytest.mark.parametrize("path", PATHS)
def test_each_query_has_an_etag_of_its_own(client: TestClient, path: str) -> None:
    """Equal answers to different queries have different tags."""
    queries = ["", "?period=7d", "?period=today", "?tz=Asia/Tokyo", "?from=2024-06-03"]
    tags = {client.get(path + query).headers["ETag"] for query in queries}
    assert len(tags) == len(queries)


@pytest.mark.parametrize("path", SERVED)
def test_the_etag_changes_at_midnight_of_the_requested_zone(
    published: Path, path: str
) -> None:
    """Tokyo's midnight is 15:00 UTC; the range changes then, not before."""
    url = f"{path}?period=7d&tz=Asia/Tokyo"
    tags = []
    for moment in ("2024-08-01 14:58", "2024-08-01 14:59", "2024-08-01 15:00"):
        with client_of(make_settings(data_dir=published), at(moment)) as client:
            tags.append(client.get(url).headers["ETag"])
    assert tags[0] == tags[1] != tags[2]
