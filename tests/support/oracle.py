"""Reference implementation of all statistics in plain Python, for comparison in tests.

Written from the definitions; it shares no code with `calculations`. A row is a dict, a
table a list of rows.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

type Row = dict[str, Any]
type Rows = list[Row]
type Database = dict[str, Rows]
type Term = tuple[str, bool, str | None]
"""Dimension, whether its value is excluded, value."""

ATTRIBUTES = ("country", "region", "city", "device", "os", "browser")
OF_ROOMS = ("room", "room_id", "room_state")

WEEKDAYS = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
]


class Oracle:
    """All statistics of one database at the instant *now*, with days cut in *zone*.

    *days* limits them to a range (first and last day, both included). *interval* is
    the length of a row of a series; *weekends* lists Saturdays and Sundays, too.
    *terms* are those of a filter. From *until* on, rows of the range do not count.
    """

    def __init__(
        self,
        database: Database,
        start: date,
        now: datetime,
        zone: tzinfo,
        days: tuple[date, date] | None = None,
        interval: str = "day",
        weekends: bool = False,
        terms: Iterable[Term] = (),
        until: datetime | None = None,
    ) -> None:
        self.now, self.zone, self.start = now, zone, start
        self.until = until
        self.terms = list(terms)
        self.days, self.interval, self.weekends = days, interval, weekends
        self.history_start = datetime.combine(start, time(), zone)
        self.page_views = self.in_range(database["page_views"], "viewed_at")
        self.estimations = self.in_range(database["estimations"], "estimated_at")
        self.votes = self.in_range(database["votes"], "voted_at")
        self.users = self.in_range(database["users"], "created_at")
        self.events = self.in_range(database["events"], "event_at")
        self.all_rooms = database["rooms"]
        self.rooms = self.in_range(database["rooms"], "first_used_at")
        self.all_estimations = database["estimations"]
        self.all_users = {user.get("id"): user for user in database["users"]}
        self.room_names = {room["id"]: room["name"] for room in self.all_rooms}
        self.visits = self.page_views
        self.by_user = any(term[0] not in OF_ROOMS for term in self.terms)
        self.by_room = any(term[0] in OF_ROOMS for term in self.terms)
        self.apply_filter()
        self.listed_days = self.list_days()

    def apply_filter(self) -> None:
        """Keep the rows that match the terms, in the tables that they apply to."""
        views, events = self.page_views, self.events
        viewers = {row["user_id"] for row in views if self.view_matches(row)}
        actors = {row.get("user_id") for row in events if self.matches(row, "event")}
        filters_views = any(d in ("source", "route") for d, _, _ in self.terms)
        filters_events = any(d == "event" for d, _, _ in self.terms)

        def viewed(user: str | None) -> bool:
            return not filters_views or (user is not None and user in viewers)

        def acted(user: str | None) -> bool:
            return not filters_events or (user is not None and user in actors)

        def chosen(user: str | None) -> bool:
            return self.user_matches(user) and viewed(user) and acted(user)

        self.page_views = [
            row
            for row in views
            if self.view_matches(row)
            and self.user_matches(row["user_id"])
            and acted(row["user_id"])
        ]
        self.events = [
            row
            for row in events
            if self.matches(row, "event")
            and self.user_matches(row.get("user_id"))
            and viewed(row.get("user_id"))
        ]
        self.visits = [row for row in views if chosen(row["user_id"])]
        self.estimations, self.all_estimations = (
            [
                r
                for r in rows
                if chosen(r["user_id"]) and self.room_matches(r["room_id"])
            ]
            for rows in (self.estimations, self.all_estimations)
        )
        self.users = [
            row
            for row in self.users
            if all(self.matches(row, name) for name in ATTRIBUTES)
            and viewed(row.get("id"))
            and acted(row.get("id"))
        ]
        self.votes = [row for row in self.votes if self.room_matches(row["room_id"])]
        self.rooms = [row for row in self.rooms if self.room_matches(row["id"])]

    def matches(self, row: Row, dimension: str) -> bool:
        """True if *row* has one of the values of *dimension* that match."""
        return self.value_matches(dimension, row.get(dimension))

    def value_matches(self, dimension: str, value: str | None) -> bool:
        """True if *value* is among those to include, if any, and not excluded."""
        included = [
            v for d, excluded, v in self.terms if d == dimension and not excluded
        ]
        excluded = [v for d, excluded, v in self.terms if d == dimension and excluded]
        return (not included or value in included) and value not in excluded

    def view_matches(self, view: Row) -> bool:
        """True if route and source category of a page view match."""
        source = None if view["source"] is None else category(view["source"])
        return self.matches(view, "route") and self.value_matches("source", source)

    def user_matches(self, user: str | None) -> bool:
        """True if the attributes of a user match; one who is absent has none."""
        row = {} if user is None else self.all_users.get(user, {})
        return all(self.matches(row, name) for name in ATTRIBUTES)

    def room_matches(self, room: int | None) -> bool:
        """True if a room matches; one that is deleted has no name."""
        name = self.room_names.get(room)
        state = "deleted" if room not in self.room_names else "named"
        if room in self.room_names and name is None:
            state = "unnamed"
        return (
            self.value_matches("room", name)
            and self.value_matches("room_state", state)
            and self.value_matches("room_id", None if room is None else str(room))
        )

    def in_range(self, rows: Rows, at: str) -> Rows:
        """Rows whose timestamp *at* lies in the range; all rows without a range."""
        if self.days is None:
            return rows
        first, last = self.days
        return [
            row
            for row in rows
            if first <= self.day(row[at]) <= last
            and (self.until is None or row[at] < self.until)
        ]

    def list_days(self) -> list[date]:
        """The listed days of a series, ascending."""
        today = self.now.astimezone(self.zone).date()
        first, last = self.days or (self.start, today)
        count = (min(last, today) - first).days + 1
        calendar_days = [first + timedelta(n) for n in range(count)]
        return [day for day in calendar_days if self.is_listed(day)]

    def is_listed(self, day: date) -> bool:
        """True for Monday to Friday, or any day with *weekends*."""
        return self.weekends or day.weekday() < 5

    def intervals(self) -> dict[date, list[date]]:
        """First day of each interval -> its listed days."""
        intervals: dict[date, list[date]] = {}
        for day in self.listed_days:
            first_day = {
                "day": day,
                "week": day - timedelta(day.weekday()),
                "month": day.replace(day=1),
            }[self.interval]
            intervals.setdefault(first_day, []).append(day)
        return intervals

    def day(self, at: datetime) -> date:
        """The calendar day of an instant in the zone."""
        return at.astimezone(self.zone).date()

    def answer(self) -> dict[str, Any]:
        """All sections, as `GET /` returns them in ``data``."""
        sections = self.sections()
        if self.by_user:
            del sections["votes"]
            sections["behaviour"]["rooms"] = {}
            blank(sections["historical"], "rooms", "votes")
        if self.by_room:
            del sections["traffic"]
            del sections["location_and_user_agent"]
            sections["behaviour"] |= {"routes": {}, "sources": {}, "events": {}}
            blank(sections["historical"], "new_users", "page_views")
        return sections

    def sections(self) -> dict[str, Any]:
        """All sections, whether or not the filter applies to them."""
        return {
            "traffic": self.traffic(),
            "votes": self.vote_figures(),
            "behaviour": self.behaviour(),
            "reoccurring": self.reoccurring(),
            "historical": self.historical(),
            "location_and_user_agent": self.location(),
        }

    def traffic(self) -> dict[str, Any]:
        """Visitors, page views, bounce rate and mean session length in minutes."""
        users = {view["user_id"] for view in self.page_views} - {None}
        estimators = {
            row["user_id"]
            for row in self.estimations
            if self.days or row["estimated_at"] > self.history_start
        } - {None}
        bounced = 1 - len(estimators) / len(users) if users else 0
        return {
            "unique_users": len(users),
            "page_views": len(self.page_views),
            "bounce_rate": round(max(bounced, 0), 2),
            "average_duration": round(mean(self.sessions()) / 60, 2),
        }

    def sessions(self) -> list[float]:
        """Length of each session in seconds."""
        moments: dict[str, list[datetime]] = {}
        for rows, column in (
            (self.visits, "viewed_at"),
            (self.estimations, "estimated_at"),
        ):
            for row in rows:
                if row["user_id"] is None:
                    continue
                if self.days or row[column] > self.history_start:
                    moments.setdefault(row["user_id"], []).append(row[column])
        lengths = []
        for instants in moments.values():
            instants.sort()
            first = last = instants[0]
            for at in instants[1:]:
                if (at - last).total_seconds() > 600:
                    lengths.append((last - first).total_seconds() + 10)
                    first = at
                last = at
            lengths.append((last - first).total_seconds() + 10)
        return lengths

    def vote_figures(self) -> dict[str, Any]:
        """Totals, means, votes per weekday and estimations per value."""

        def average(column: str) -> float:
            return mean(row[column] for row in self.votes)

        weekdays = Counter(self.day(row["voted_at"]).weekday() for row in self.votes)
        values = Counter(row["estimation"] for row in self.estimations)
        del values[None]
        return {
            "total_votes": len(self.votes),
            "total_estimations": sum(v["amount_of_estimations"] for v in self.votes),
            "avg_estimations_per_vote": round(average("amount_of_estimations"), 2),
            "avg_spectators_per_vote": round(average("amount_of_spectators"), 2),
            "avg_duration_per_vote": round(average("duration") / 60, 2),
            "avg_estimation": round(average("avg_estimation"), 2),
            "avg_min_estimation": round(average("min_estimation"), 2),
            "avg_max_estimation": round(average("max_estimation"), 2),
            "weekday_counts": {
                WEEKDAYS[day]: weekdays[day] for day in sorted(weekdays)
            },
            "estimation_counts": {value: values[value] for value in sorted(values)},
        }

    def behaviour(self) -> dict[str, Any]:
        """Page views per route and source, events, and votes per room name."""
        routes = Counter(view["route"] for view in self.page_views)
        sources = Counter(
            category(view["source"])
            for view in self.page_views
            if view["source"] is not None
        )
        sources.setdefault("Other", 0)
        return {
            "routes": {route: routes[route] for route in sorted(routes)},
            "events": top(Counter(row["event"] for row in self.events)),
            "sources": top(sources),
            "rooms": top(
                Counter(
                    name_or_unknown(self.room_names.get(vote["room_id"]))
                    for vote in self.votes
                ),
                40,
            ),
        }

    def historical(self) -> list[dict[str, Any]]:
        """Counts per interval, running sums and moving averages over 30 rows."""
        per_day = {
            name: Counter(self.day(row[at]) for row in rows)
            for name, rows, at in (
                ("new_users", self.users, "created_at"),
                ("page_views", self.page_views, "viewed_at"),
                ("rooms", self.rooms, "first_used_at"),
                ("estimations", self.estimations, "estimated_at"),
                ("votes", self.votes, "voted_at"),
            )
        }
        listed: list[dict[str, Any]] = []
        for first_day, days in self.intervals().items():
            row: dict[str, Any] = {"date": first_day}
            for name, counts in per_day.items():
                row[name] = sum(counts[day] for day in days)
                earlier = [before[name] for before in listed]
                window = [*earlier, row[name]][-30:]
                row[f"acc_{name}"] = sum(earlier) + row[name]
                row[f"ma_{name}"] = (
                    round(sum(window) / 30, 2) if len(window) == 30 else None
                )
            listed.append(row)
        return listed

    def reoccurring(self) -> list[dict[str, Any]]:
        """Users and rooms that have returned, all and active, per interval."""
        per_day: dict[date, dict[str, Any]] = {}
        keys = (("user_id", "users"), ("room_id", "rooms"))
        seen: dict[str, dict[Any, list[date]]] = {key: {} for key, _ in keys}
        earlier = {key: self.seen_before(key) for key, _ in keys}
        for day in self.listed_days:
            row: dict[str, Any] = {}
            today = [r for r in self.estimations if self.day(r["estimated_at"]) == day]
            for key, plural in keys:
                for member in {r[key] for r in today} - {None}:
                    seen[key].setdefault(member, []).append(day)
                returned = [
                    days
                    for member, days in seen[key].items()
                    if len(days) >= 2 or member in earlier[key]
                ]
                row[f"reoccurring_{plural}"] = len(returned)
                row[f"adjusted_reoccurring_{plural}"] = sum(
                    (day - days[-1]).days <= 30 for days in returned
                )
            per_day[day] = row
        return [
            {"date": first_day, **per_day[days[-1]]}
            for first_day, days in self.intervals().items()
        ]

    def seen_before(self, key: str) -> set[Any]:
        """Values of *key* that estimated on a listed day from the start to the range."""
        if self.days is None:
            return set()
        return {
            row[key]
            for row in self.all_estimations
            for day in [self.day(row["estimated_at"])]
            if self.start <= day < self.days[0] and self.is_listed(day)
        }

    def location(self) -> dict[str, Any]:
        """Users per device, OS, browser, country, region and city."""

        def names(column: str) -> Counter[str]:
            return Counter(name_or_unknown(user[column]) for user in self.users)

        def places(place: str) -> list[dict[str, Any]]:
            counts = Counter((user["country"], user[place]) for user in self.users)
            order = sorted(counts, key=lambda pair: (-counts[pair], *nulls_last(pair)))
            return [
                {"country": pair[0], place: pair[1], "count": counts[pair]}
                for pair in order[:40]
            ]

        return {
            "device": top(names("device")),
            "os": top(names("os")),
            "browser": top(names("browser")),
            "country": top(names("country"), 40),
            "country_region": places("region"),
            "country_city": places("city"),
        }

    def room(self, room_id: int) -> dict[str, Any]:
        """Statistics of one room."""
        votes = [vote for vote in self.votes if vote["room_id"] == room_id]

        def average(column: str) -> float:
            return mean(vote[column] for vote in votes)

        return {
            "votes": len(votes),
            "duration": round(average("duration"), 0),
            "estimations": sum(vote["amount_of_estimations"] for vote in votes),
            "estimations_per_vote": round(average("amount_of_estimations"), 2),
            "avg_min_estimation": round(average("min_estimation"), 2),
            "avg_avg_estimation": round(average("avg_estimation"), 2),
            "avg_max_estimation": round(average("max_estimation"), 2),
            "spectators": sum(vote["amount_of_spectators"] for vote in votes),
            "spectators_per_vote": round(average("amount_of_spectators"), 2),
        }

    def daily(self, day_before: bool = False) -> dict[str, Any]:
        """Figures of the last 24 hours, of the 24 hours before, or of the range."""
        day = timedelta(days=1)
        until = self.now - day if day_before else datetime.max.replace(tzinfo=UTC)
        since = self.now - timedelta(days=2 if day_before else 1)

        def recent(rows: Rows, at: str) -> Rows:
            return [row for row in rows if self.days or since < row[at] <= until]

        votes = recent(self.votes, "voted_at")
        views = recent(self.page_views, "viewed_at")
        figures = {
            "votes": len(votes),
            "estimations": sum(vote["amount_of_estimations"] for vote in votes),
            "rooms": len({vote["room_id"] for vote in votes}),
            "unique_users": len({view["user_id"] for view in views} - {None}),
            "page_views": len(views),
        }
        unknown = ["votes", "estimations", "rooms"] if self.by_user else []
        unknown += ["unique_users", "page_views"] if self.by_room else []
        return figures | dict.fromkeys(unknown)


def blank(rows: list[Row], *names: str) -> None:
    """Make columns of a series null, with their sums and averages."""
    for row in rows:
        for name in names:
            row |= {name: None, f"acc_{name}": None, f"ma_{name}": None}


def previous_range(days: tuple[date, date]) -> tuple[date, date]:
    """The range of equal length that ends the day before *days* begin."""
    first, last = days
    length = timedelta((last - first).days + 1)
    return first - length, last - length


def percent_changes(current: Row, previous: Row) -> dict[str, float | None]:
    """Change of each single figure in per cent of the previous one."""
    return {
        name: round((current[name] - previous[name]) / previous[name] * 100, 2)
        if previous[name]
        else None
        for name in current
        if not isinstance(current[name], dict)
    }


def mean(values: Iterable[Any]) -> float:
    """Mean of *values*; 0 without any."""
    numbers = list(values)
    return float(sum(numbers)) / len(numbers) if numbers else 0


def name_or_unknown(name: str | None) -> str:
    """*name*, or "Unknown" for None."""
    return "Unknown" if name is None else name


def top(counts: Counter[str], limit: int | None = None) -> dict[str, int]:
    """The *limit* largest counts, ties in order of the key."""
    order = sorted(counts, key=lambda key: (-counts[key], key))
    return {key: counts[key] for key in order[:limit]}


def nulls_last(pair: Iterable[str | None]) -> list[tuple[bool, str]]:
    """Sort key that places None after every string."""
    return [(part is None, part or "") for part in pair]


def category(source: str) -> str:
    """The category of a source: that of the first pattern found in it."""
    for pattern, name in (
        (r"teams\.", "Teams"),
        (r"ads\.|google_ads", "Google Ads"),
        (r"www\.google\.com", "Google Search"),
        (r"free-planning-poker\.com", "Free Planning Poker"),
        (r"cv", "CV"),
        (r"email", "Email"),
        (r"github\.com", "GitHub"),
        (r"bing\.com", "Bing"),
    ):
        if re.search(pattern, source):
            return name
    return "Other"
