"""Reference implementation of the shipped SQL files in plain Python.

Written from their descriptions. A row is a dict with all columns of its table; every
value may be None. Each function returns rows as tuples, in the order of the columns.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

type Row = Mapping[str, Any]
type Rows = list[Row]
type Database = Mapping[str, Rows]
type Result = list[tuple[Any, ...]]

SOURCES = [
    ("Teams", r"teams\."),
    ("Google Ads", r"ads\.|google_ads"),
    ("Google Search", r"www\.google\.com"),
    ("Free Planning Poker", r"free-planning-poker\.com"),
    ("CV", "cv"),
    ("Email", "email"),
    ("GitHub", r"github\.com"),
    ("Bing", r"bing\.com"),
]
WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)


def day(at: datetime, zone: ZoneInfo) -> date:
    """The calendar day of *at* in *zone*."""
    return at.astimezone(zone).date()


def week(at: datetime, zone: ZoneInfo) -> date:
    """The Monday of the week of *at* in *zone*."""
    found = day(at, zone)
    return found - timedelta(days=found.weekday())


def month(at: datetime, zone: ZoneInfo) -> date:
    """The first day of the month of *at* in *zone*."""
    return day(at, zone).replace(day=1)


def pairs(rows: Rows, who: str, at: str) -> list[tuple[Any, datetime]]:
    """Who did something when; rows without either are left out."""
    found = ((row[who], row[at]) for row in rows)
    return [pair for pair in found if None not in pair]


def retention(activity: Iterable[tuple[Any, datetime]], zone: ZoneInfo) -> Result:
    """Cohort week, week number, size, active, share."""
    weeks: dict[Any, set[date]] = defaultdict(set)
    for who, at in activity:
        weeks[who].add(week(at, zone))
    if not weeks:
        return []
    last = max(max(seen) for seen in weeks.values())
    result: Result = []
    for cohort in sorted({min(seen) for seen in weeks.values()}):
        members = [seen for seen in weeks.values() if min(seen) == cohort]
        for number in range((last - cohort).days // 7 + 1):
            then = cohort + timedelta(weeks=number)
            active = sum(then in seen for seen in members)
            size = len(members)
            result.append((cohort, number, size, active, active / size))
    return result


def user_retention(database: Database, zone: ZoneInfo) -> Result:
    """See views/retention.sql."""
    views = pairs(database["fpp_page_views"], "user_id", "viewed_at")
    estimations = pairs(database["fpp_estimations"], "user_id", "estimated_at")
    return retention([*views, *estimations], zone)


def room_retention(database: Database, zone: ZoneInfo) -> Result:
    """See views/retention.sql."""
    return retention(pairs(database["fpp_votes"], "room_id", "voted_at"), zone)


def source_category(source: str | None) -> str:
    """The category of a page view's source."""
    if source is None:
        return "Unknown"
    matching = (name for name, pattern in SOURCES if re.search(pattern, source))
    return next(matching, "Other")


def funnel_by_source(database: Database, zone: ZoneInfo) -> Result:
    """See views/funnel.sql."""
    del zone
    views: dict[str, Rows] = defaultdict(list)
    for row in database["fpp_page_views"]:
        if None not in (row["user_id"], row["viewed_at"], row["id"]):
            views[row["user_id"]].append(row)
    steps: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for user, seen in views.items():
        first = min(seen, key=lambda row: (row["viewed_at"], row["id"]))
        mine = [r for r in database["fpp_estimations"] if r["user_id"] == user]
        room = any(row["route"] == "ROOM" for row in seen)
        estimated = room and bool(mine)
        voted = estimated and any(_vote_followed(row, database) for row in mine)
        counts = steps[source_category(first["source"])]
        for index, reached in enumerate((True, room, estimated, voted)):
            counts[index] += reached
    rows = [
        (source, *counts, *(count / counts[0] for count in counts[1:]))
        for source, counts in steps.items()
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0].encode()))


def _vote_followed(estimation: Row, database: Database) -> bool:
    room, at = estimation["room_id"], estimation["estimated_at"]
    if room is None or at is None:
        return False
    votes = pairs(database["fpp_votes"], "room_id", "voted_at")
    return any(voted_in == room and then >= at for voted_in, then in votes)


def estimation_by_month(database: Database, zone: ZoneInfo) -> Result:
    """See views/estimation.sql."""
    groups: dict[tuple[date, int], Rows] = defaultdict(list)
    for row in database["fpp_votes"]:
        if row["voted_at"] is not None and row["room_id"] is not None:
            groups[month(row["voted_at"], zone), row["room_id"]].append(row)
    return [(*key, *_estimation(rows)) for key, rows in sorted(groups.items())]


def _estimation(rows: Rows) -> tuple[Any, ...]:
    spreads = [
        row["max_estimation"] - row["min_estimation"]
        for row in rows
        if None not in (row["max_estimation"], row["min_estimation"])
    ]
    counts = known(rows, "amount_of_estimations")
    seconds = known(rows, "duration")
    unanimous = sum(
        row["max_estimation"] is not None
        and row["max_estimation"] == row["min_estimation"]
        and (row["amount_of_estimations"] or 0) >= 2
        for row in rows
    )
    return (
        len(rows),
        or_none(sum, counts),
        or_none(mean, spreads),
        or_none(max, spreads),
        unanimous,
        or_none(mean, seconds),
        or_none(lambda values: float(median(values)), seconds),
    )


def known(rows: Rows, column: str) -> list[Any]:
    """The values of *column* that are not None."""
    return [row[column] for row in rows if row[column] is not None]


def mean(values: list[int]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def or_none(function: Callable[[list[int]], Any], values: list[int]) -> Any:
    """*function* of *values*; None if there are none."""
    return function(values) if values else None


def growth_by_country(database: Database, zone: ZoneInfo) -> Result:
    """See views/growth.sql."""
    created = [
        (month(row["created_at"], zone), row["country"] or _unknown(row["country"]))
        for row in database["fpp_users"]
        if row["created_at"] is not None
    ]
    if not created:
        return []
    result: Result = []
    then, last = min(created)[0], max(created)[0]
    while then <= last:
        for country in {country for _, country in created}:
            new = created.count((then, country))
            users = sum(c == country and at <= then for at, c in created)
            before = users - new
            result.append((then, country, new, users, new / before if before else None))
        then = (then + timedelta(days=31)).replace(day=1)
    return sorted(result, key=lambda row: (row[0], -row[3], row[1].encode()))


def _unknown(country: str | None) -> str:
    return "Unknown" if country is None else country


def busiest_hours(database: Database, zone: ZoneInfo) -> Result:
    """See views/busiest_hours.sql."""
    counts: dict[tuple[int, int], list[int]] = {
        (weekday, hour): [0, 0, 0] for weekday in range(1, 8) for hour in range(24)
    }
    columns = [
        ("fpp_page_views", "viewed_at"),
        ("fpp_estimations", "estimated_at"),
        ("fpp_votes", "voted_at"),
    ]
    for index, (table, column) in enumerate(columns):
        for at in known(database[table], column):
            local = at.astimezone(zone)
            counts[local.isoweekday(), local.hour][index] += 1
    return [
        (weekday, WEEKDAYS[weekday - 1], hour, *counted)
        for (weekday, hour), counted in counts.items()
    ]


def fpp_event_log(database: Database, zone: ZoneInfo) -> Result:
    """See views/events.sql."""
    del zone
    rows = [row for row in database["fpp_events"] if row["id"] is not None]
    rows.sort(key=lambda row: f"fpp-{row['id']}".encode())
    dated = [row for row in rows if row["event_at"] is not None]
    dated.sort(key=lambda row: row["event_at"])
    undated = [row for row in rows if row["event_at"] is None]
    return [
        (
            f"fpp-{row['id']}", "free-planning-poker", row["event"], row["user_id"],
            row["event_at"], None, "{}", row["event_at"], None, None,
        )
        for row in [*dated, *undated]
    ]  # fmt: skip


ORACLES: Mapping[str, Callable[[Database, ZoneInfo], Result]] = {
    "busiest_hours": busiest_hours,
    "estimation_by_month": estimation_by_month,
    "fpp_event_log": fpp_event_log,
    "funnel_by_source": funnel_by_source,
    "growth_by_country": growth_by_country,
    "room_retention": room_retention,
    "user_retention": user_retention,
}


def room_pace(
    database: Database, zone: ZoneInfo, room_id: int, since: date | None
) -> Result:
    """See views/estimation.sql."""
    rows = estimation_by_month(database, zone)
    mine = [
        row for row in rows if row[1] == room_id and (since is None or row[0] >= since)
    ]
    return [
        (row[0], row[2], row[4], row[6] / row[2], row[7])
        for row in sorted(mine, reverse=True)
    ]
