"""The effect of a range's edges on each statistic, by one literal example each."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from calculations.analytics import analytics, collect_as
from calculations.period import DateRange, Interval, Period
from calculations.results import Analytics
from tests.support.frames import EMPTY, START, at, tables, vote
from tests.support.oracle import Row, Rows

NOW = at("2026-11-20 12:00")


def answer(
    first: str, last: str, rows: dict[str, Rows], zone: str = "UTC", **more: Any
) -> Analytics:
    """All sections for the range *first* to *last*, at the end of 2026."""
    days = DateRange(date.fromisoformat(first), date.fromisoformat(last))
    period = Period(START, NOW, ZoneInfo(zone), days, **more)
    return collect_as(Analytics, analytics(tables(EMPTY | rows), period))


def estimated(user: str, *moments: str) -> Rows:
    """One estimation at each of *moments*."""
    return [
        {"user_id": user, "room_id": 1, "estimation": 5, "estimated_at": at(moment)}
        for moment in moments
    ]


def viewed(user: str, *moments: str) -> Rows:
    """One page view at each of *moments*."""
    return [
        {"user_id": user, "route": "HOME", "viewed_at": at(moment)}
        for moment in moments
    ]


def returns(result: Analytics) -> dict[str, tuple[int, int]]:
    """Date -> reoccurring users, and adjusted reoccurring users."""
    assert result.reoccurring is not None
    return {
        row["date"].isoformat(): (
            row["reoccurring_users"],
            row["adjusted_reoccurring_users"],
        )
        for row in result.reoccurring
    }


def test_a_session_across_the_edge_counts_with_the_part_inside() -> None:
    """Of 23:56 to 00:04, four minutes and ten seconds are on the second day."""
    views = viewed("ada", *(f"2024-06-04 23:{minute}" for minute in (56, 58)))
    views += viewed("ada", *(f"2024-06-05 00:0{minute}" for minute in (0, 4)))
    result = answer("2024-06-05", "2024-06-05", {"page_views": views}).traffic
    assert result
    assert (result.page_views, result.average_duration) == (2, round(250 / 60, 2))


def test_the_bounce_rate_considers_only_the_range() -> None:
    """Ada estimated only on the day before, so she bounces."""
    rows = {
        "page_views": viewed("ada", "2024-06-05 10:00")
        + viewed("bob", "2024-06-05 10:00")
        + viewed("cyd", "2024-06-04 10:00"),
        "estimations": estimated("ada", "2024-06-04 10:00")
        + estimated("bob", "2024-06-05 10:00"),
    }
    result = answer("2024-06-05", "2024-06-05", rows).traffic
    assert result
    assert (result.unique_users, result.bounce_rate) == (2, 0.5)


def test_a_range_from_start_date_includes_its_first_instant() -> None:
    """An estimation at midnight counts; without a range only later ones do."""
    rows = {
        "page_views": viewed("ada", "2024-06-03 00:00"),
        "estimations": estimated("ada", "2024-06-03 00:00"),
    }
    result = answer("2024-06-03", "2024-06-03", rows).traffic
    assert result
    assert (result.bounce_rate, result.average_duration) == (0.0, round(10 / 60, 2))


def test_each_table_is_filtered_by_its_own_timestamp() -> None:
    """Each table has one row a day; the range is the second of three days."""

    def each(column: str, **row: Any) -> Rows:
        return [row | {column: at(f"2024-06-{day:02} 12:00")} for day in (4, 5, 6)]

    rows = {
        "page_views": each("viewed_at", user_id="ada", route="HOME", source="cv"),
        "estimations": each("estimated_at", user_id="ada", room_id=1, estimation=3),
        "votes": [vote(**row) for row in each("voted_at")],
        "users": each("created_at", country="DE"),
        "events": each("event_at", event="LEFT_ROOM"),
        "rooms": [
            row | {"id": number, "name": f"room {number}"}
            for number, row in enumerate(each("first_used_at"), start=1)
        ],
    }
    result = answer("2024-06-05", "2024-06-05", rows)
    assert result.traffic
    assert result.votes
    assert result.behaviour
    assert result.historical
    assert result.location_and_user_agent
    assert result.traffic.page_views == result.votes.total_votes == 1
    assert result.votes.weekday_counts == {"Wednesday": 1}
    assert result.votes.estimation_counts == {3: 1}
    assert result.behaviour.routes == {"HOME": 1}
    assert result.behaviour.sources == {"CV": 1, "Other": 0}
    assert result.behaviour.events == {"LEFT_ROOM": 1}
    # The room was first used before the range, and its name is found all the same.
    assert result.behaviour.rooms == {"room 1": 1}
    assert result.location_and_user_agent.country == {"DE": 1}
    (day,) = result.historical
    assert (day["new_users"], day["page_views"], day["rooms"]) == (1, 1, 1)
    assert (day["estimations"], day["votes"], day["acc_votes"]) == (1, 1, 1)


def test_running_sums_and_moving_averages_begin_with_the_range() -> None:
    """A vote before the range is in neither; the 30th row is the first with a mean."""
    votes = [vote(voted_at=at(f"2024-06-{day:02} 12:00")) for day in (3, 4)]
    result = answer("2024-06-04", "2024-07-16", {"votes": votes}).historical
    assert result
    assert [day["acc_votes"] for day in (result[0], result[-1])] == [1, 1]
    averages = [(day["date"].isoformat(), day["ma_votes"]) for day in result[28:]]
    assert averages == [
        ("2024-07-12", None),
        ("2024-07-15", 0.03),
        ("2024-07-16", 0.0),
    ]


def test_history_before_the_range_decides_about_returns() -> None:
    """Ada was seen on a Monday before; Bob only on a Sunday, which is not listed."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-07-10 10:00")
    rows += estimated("bob", "2024-06-09 10:00", "2024-07-10 10:00", "2024-07-11 10:00")
    result = returns(answer("2024-07-09", "2024-07-11", {"estimations": rows}))
    assert result == {"2024-07-09": (0, 0), "2024-07-10": (1, 1), "2024-07-11": (2, 2)}


def test_with_weekends_a_sunday_before_the_range_is_history() -> None:
    """Bob returns on his first day in the range."""
    rows = estimated("bob", "2024-06-09 10:00", "2024-07-10 10:00")
    database = {"estimations": rows}
    result = returns(answer("2024-07-10", "2024-07-10", database, weekends=True))
    assert result == {"2024-07-10": (1, 1)}


def test_null_users_and_rooms_never_return() -> None:
    """A null is not counted as seen, neither before the range nor in it."""
    moments = ("2024-06-03 10:00", "2024-06-05 10:00", "2024-06-06 10:00")
    rows: Rows = [{"estimated_at": at(moment)} for moment in moments]
    result = answer("2024-06-05", "2024-06-06", {"estimations": rows}).reoccurring
    assert result
    assert [(day["reoccurring_users"], day["reoccurring_rooms"]) for day in result] == [
        (0, 0),
        (0, 0),
    ]


def test_days_before_start_date_are_not_history() -> None:
    """A user seen on the Friday before it and in the range counts as seen once."""
    rows = estimated("ada", "2024-05-31 10:00", "2024-06-05 10:00")
    result = returns(answer("2024-06-05", "2024-06-05", {"estimations": rows}))
    assert result == {"2024-06-05": (0, 0)}


def test_a_user_seen_only_before_the_range_does_not_count() -> None:
    """Not even if seen on two days."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-06-04 10:00")
    result = returns(answer("2024-06-05", "2024-06-05", {"estimations": rows}))
    assert result == {"2024-06-05": (0, 0)}


def test_a_user_who_returned_in_the_range_lapses_after_thirty_days() -> None:
    """Last seen on 5 June: adjusted until 5 July, the 30th day."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-06-05 10:00")
    result = returns(answer("2024-06-05", "2024-07-08", {"estimations": rows}))
    assert result["2024-07-05"] == (1, 1)
    assert result["2024-07-08"] == (1, 0)


def test_a_week_sums_its_listed_days_and_shows_the_state_of_its_last() -> None:
    """Wednesday to Tuesday spans two weeks; Saturday's vote is in neither."""
    votes = [
        vote(voted_at=at(f"2024-06-{day:02} 12:00")) for day in (4, 5, 7, 8, 10, 11, 12)
    ]
    rows: dict[str, Rows] = {
        "votes": votes,
        "estimations": estimated("ada", "2024-06-05 10:00", "2024-06-07 10:00"),
    }
    result = answer("2024-06-05", "2024-06-11", rows, interval=Interval.WEEK)
    assert result.historical
    weeks = [
        (row["date"].isoformat(), row["votes"], row["acc_votes"])
        for row in result.historical
    ]
    assert weeks == [("2024-06-03", 2, 2), ("2024-06-10", 2, 4)]
    assert returns(result) == {"2024-06-03": (1, 1), "2024-06-10": (1, 1)}


def test_a_leap_day_is_an_ordinary_day() -> None:
    """29 February 2028 is a Tuesday. In 2026 it is in the future, so it is not listed."""
    votes = [vote(voted_at=at("2028-02-29 12:00"))]
    result = answer("2028-02-29", "2028-02-29", {"votes": votes})
    assert result.votes
    assert result.votes.weekday_counts == {"Tuesday": 1}
    assert (result.historical, result.reoccurring) == ([], [])


def test_an_hour_that_occurs_twice_belongs_to_its_day_both_times() -> None:
    """Berlin, 27 October 2024: 02:30 is 00:30 and 01:30 UTC; the day has 25 hours."""
    moments = ["00:30", "01:30", "22:30"]
    views = viewed("ada", *(f"2024-10-27 {moment}" for moment in moments))
    rows = {"page_views": views + viewed("ada", "2024-10-27 23:00")}
    result = answer("2024-10-27", "2024-10-27", rows, "Europe/Berlin", weekends=True)
    assert result.traffic
    assert result.traffic.page_views == 3
    assert result.historical
    assert result.historical[0]["page_views"] == 3


def test_a_range_without_rows_gives_zeros_and_empty_objects() -> None:
    """Rows just before and just after the range are excluded."""
    moments = ("2024-06-04 23:59:59", "2024-06-06 00:00")
    users: list[Row] = [{"country": "DE", "created_at": at(day)} for day in moments]
    rows = {
        "page_views": viewed("ada", *moments),
        "estimations": estimated("ada", *moments),
        "votes": [vote(voted_at=at(day)) for day in moments],
        "users": users,
        "events": [{"event": "LEFT_ROOM", "event_at": at(day)} for day in moments],
    }
    result = answer("2024-06-05", "2024-06-05", rows)
    empty = answer("2024-06-05", "2024-06-05", {})
    assert result == empty
    assert result.traffic
    assert set(dict(result.traffic).values()) == {0}
    assert result.behaviour
    assert result.behaviour.sources == {"Other": 0}
