"""What the edges of a range do to each statistic, one literal example each."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from calculations.analytics import analytics, answer
from calculations.period import DateRange, Interval, Period
from calculations.results import Analytics
from tests.support.frames import EMPTY, START, at, tables, vote
from tests.support.oracle import Row, Rows

NOW = at("2026-11-20 12:00")


def asked(
    first: str, last: str, rows: dict[str, Rows], zone: str = "UTC", **more: Any
) -> Analytics:
    """Everything about the days from *first* to *last*, at the end of 2026."""
    stretch = DateRange(date.fromisoformat(first), date.fromisoformat(last))
    period = Period(START, NOW, ZoneInfo(zone), stretch, **more)
    return answer(Analytics, analytics(tables(EMPTY | rows), period))


def estimated(user: str, *moments: str) -> Rows:
    return [
        {"user_id": user, "room_id": 1, "estimation": 5, "estimated_at": at(moment)}
        for moment in moments
    ]


def viewed(user: str, *moments: str) -> Rows:
    return [
        {"user_id": user, "route": "HOME", "viewed_at": at(moment)}
        for moment in moments
    ]


def returns(got: Analytics) -> dict[str, tuple[int, int]]:
    """Day -> users that reoccur, and those of them that are adjusted."""
    assert got.reoccurring is not None
    return {
        row["date"].isoformat(): (
            row["reoccurring_users"],
            row["adjusted_reoccurring_users"],
        )
        for row in got.reoccurring
    }


def test_a_session_cut_by_the_edge_counts_with_the_part_inside() -> None:
    """From 23:56 to 00:04: four minutes and ten seconds on the second day."""
    views = viewed("ada", *(f"2024-06-04 23:{minute}" for minute in (56, 58)))
    views += viewed("ada", *(f"2024-06-05 00:0{minute}" for minute in (0, 4)))
    got = asked("2024-06-05", "2024-06-05", {"page_views": views}).traffic
    assert got
    assert (got.page_views, got.average_duration) == (2, round(250 / 60, 2))


def test_the_bounce_rate_is_of_those_seen_in_the_range() -> None:
    """Ada estimated the day before, which does not keep her from bouncing."""
    rows = {
        "page_views": viewed("ada", "2024-06-05 10:00")
        + viewed("bob", "2024-06-05 10:00")
        + viewed("cyd", "2024-06-04 10:00"),
        "estimations": estimated("ada", "2024-06-04 10:00")
        + estimated("bob", "2024-06-05 10:00"),
    }
    got = asked("2024-06-05", "2024-06-05", rows).traffic
    assert got
    assert (got.unique_users, got.bounce_rate) == (2, 0.5)


def test_the_first_instant_of_start_date_is_in_a_range_that_begins_there() -> None:
    """Estimating at midnight is no bounce; without a range only what is later counts."""
    rows = {
        "page_views": viewed("ada", "2024-06-03 00:00"),
        "estimations": estimated("ada", "2024-06-03 00:00"),
    }
    got = asked("2024-06-03", "2024-06-03", rows).traffic
    assert got
    assert (got.bounce_rate, got.average_duration) == (0.0, round(10 / 60, 2))


def test_each_table_is_cut_by_its_own_timestamp() -> None:
    """One row a day in each; the range holds the second of three days."""

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
    got = asked("2024-06-05", "2024-06-05", rows)
    assert got.traffic and got.votes and got.behaviour and got.historical
    assert got.location_and_user_agent
    assert got.traffic.page_views == got.votes.total_votes == 1
    assert got.votes.weekday_counts == {"Wednesday": 1}
    assert got.votes.estimation_counts == {3: 1}
    assert got.behaviour.routes == {"HOME": 1}
    assert got.behaviour.sources == {"CV": 1, "Other": 0}
    assert got.behaviour.events == {"LEFT_ROOM": 1}
    # The room was first used before, and has its name all the same.
    assert got.behaviour.rooms == {"room 1": 1}
    assert got.location_and_user_agent.country == {"DE": 1}
    (day,) = got.historical
    assert (day["new_users"], day["page_views"], day["rooms"]) == (1, 1, 1)
    assert (day["estimations"], day["votes"], day["acc_votes"]) == (1, 1, 1)


def test_running_sums_and_moving_averages_begin_with_the_range() -> None:
    """A vote before it is in neither; the 30th listed row is the first with a mean."""
    votes = [vote(voted_at=at(f"2024-06-{day:02} 12:00")) for day in (3, 4)]
    got = asked("2024-06-04", "2024-07-16", {"votes": votes}).historical
    assert got
    assert [day["acc_votes"] for day in (got[0], got[-1])] == [1, 1]
    averages = [(day["date"].isoformat(), day["ma_votes"]) for day in got[28:]]
    assert averages == [
        ("2024-07-12", None),
        ("2024-07-15", 0.03),
        ("2024-07-16", 0.0),
    ]


def test_what_was_before_the_range_decides_who_returns() -> None:
    """Ada was seen on a Monday before; Bob only on a Sunday, which is not listed."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-07-10 10:00")
    rows += estimated("bob", "2024-06-09 10:00", "2024-07-10 10:00", "2024-07-11 10:00")
    got = returns(asked("2024-07-09", "2024-07-11", {"estimations": rows}))
    assert got == {"2024-07-09": (0, 0), "2024-07-10": (1, 1), "2024-07-11": (2, 2)}


def test_with_weekends_a_sunday_is_history_too() -> None:
    """The same Bob returns on his first day in the range."""
    rows = estimated("bob", "2024-06-09 10:00", "2024-07-10 10:00")
    given = {"estimations": rows}
    got = returns(asked("2024-07-10", "2024-07-10", given, weekends=True))
    assert got == {"2024-07-10": (1, 1)}


def test_estimations_without_a_user_or_a_room_return_nowhere() -> None:
    """A missing name is not seen twice, neither before the range nor in it."""
    moments = ("2024-06-03 10:00", "2024-06-05 10:00", "2024-06-06 10:00")
    rows: Rows = [{"estimated_at": at(moment)} for moment in moments]
    got = asked("2024-06-05", "2024-06-06", {"estimations": rows}).reoccurring
    assert got
    assert [(day["reoccurring_users"], day["reoccurring_rooms"]) for day in got] == [
        (0, 0),
        (0, 0),
    ]


def test_days_before_start_date_are_no_history() -> None:
    """Seen on the Friday before it, and then in the range: once."""
    rows = estimated("ada", "2024-05-31 10:00", "2024-06-05 10:00")
    got = returns(asked("2024-06-05", "2024-06-05", {"estimations": rows}))
    assert got == {"2024-06-05": (0, 0)}


def test_who_was_seen_only_before_the_range_does_not_count_in_it() -> None:
    """However often."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-06-04 10:00")
    got = returns(asked("2024-06-05", "2024-06-05", {"estimations": rows}))
    assert got == {"2024-06-05": (0, 0)}


def test_who_returned_in_the_range_lapses_after_thirty_days() -> None:
    """Seen on 5 June: adjusted until 5 July, which is the 30th day."""
    rows = estimated("ada", "2024-06-03 10:00", "2024-06-05 10:00")
    got = returns(asked("2024-06-05", "2024-07-08", {"estimations": rows}))
    assert got["2024-07-05"] == (1, 1)
    assert got["2024-07-08"] == (1, 0)


def test_a_week_sums_its_listed_days_and_ends_with_the_last_of_them() -> None:
    """Wednesday to Tuesday is two weeks; Saturday's vote is in neither."""
    votes = [
        vote(voted_at=at(f"2024-06-{day:02} 12:00")) for day in (4, 5, 7, 8, 10, 11, 12)
    ]
    rows: dict[str, Rows] = {
        "votes": votes,
        "estimations": estimated("ada", "2024-06-05 10:00", "2024-06-07 10:00"),
    }
    got = asked("2024-06-05", "2024-06-11", rows, interval=Interval.WEEK)
    assert got.historical
    weeks = [
        (row["date"].isoformat(), row["votes"], row["acc_votes"])
        for row in got.historical
    ]
    assert weeks == [("2024-06-03", 2, 2), ("2024-06-10", 2, 4)]
    assert returns(got) == {"2024-06-03": (1, 1), "2024-06-10": (1, 1)}


def test_a_leap_day_is_a_day_of_february() -> None:
    """2028 is a leap year; 29 February is a Tuesday. Seen from 2026 nothing is listed."""
    votes = [vote(voted_at=at("2028-02-29 12:00"))]
    got = asked("2028-02-29", "2028-02-29", {"votes": votes})
    assert got.votes and got.votes.weekday_counts == {"Tuesday": 1}
    assert (got.historical, got.reoccurring) == ([], [])


def test_the_hour_that_comes_twice_belongs_to_its_day_both_times() -> None:
    """Berlin, 27 October 2024: 02:30 is 00:30 and 01:30 UTC; the day has 25 hours."""
    moments = ["00:30", "01:30", "22:30"]
    views = viewed("ada", *(f"2024-10-27 {moment}" for moment in moments))
    rows = {"page_views": views + viewed("ada", "2024-10-27 23:00")}
    got = asked("2024-10-27", "2024-10-27", rows, "Europe/Berlin", weekends=True)
    assert got.traffic and got.traffic.page_views == 3
    assert got.historical and got.historical[0]["page_views"] == 3


def test_nothing_in_the_range_gives_zeros_and_empty_objects() -> None:
    """Though there is something before and after."""
    moments = ("2024-06-04 23:59:59", "2024-06-06 00:00")
    user: list[Row] = [{"country": "DE", "created_at": at(day)} for day in moments]
    rows = {
        "page_views": viewed("ada", *moments),
        "estimations": estimated("ada", *moments),
        "votes": [vote(voted_at=at(day)) for day in moments],
        "users": user,
        "events": [{"event": "LEFT_ROOM", "event_at": at(day)} for day in moments],
    }
    got = asked("2024-06-05", "2024-06-05", rows)
    empty = asked("2024-06-05", "2024-06-05", {})
    assert got == empty
    assert got.traffic and set(dict(got.traffic).values()) == {0}
    assert got.behaviour and got.behaviour.sources == {"Other": 0}
