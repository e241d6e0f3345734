"""The statistics by hand: plain Python over lists of rows, written from the definitions.

Nothing here shares a line with `calculations`; a row is a dict, a table a list of rows.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

type Row = dict[str, Any]
type Rows = list[Row]
type Database = dict[str, Rows]

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
    """Answers about one database, as of *now*, with days cut in *zone*.

    With *stretch*, the first and the last day asked for, about these only. *interval*
    and *weekends* say how series are listed.
    """

    def __init__(
        self,
        database: Database,
        start: date,
        now: datetime,
        zone: tzinfo,
        stretch: tuple[date, date] | None = None,
        interval: str = "day",
        weekends: bool = False,
    ) -> None:
        self.now, self.zone, self.start = now, zone, start
        self.stretch, self.interval, self.weekends = stretch, interval, weekends
        self.opens = datetime.combine(start, time(), zone)
        self.page_views = self.asked(database["page_views"], "viewed_at")
        self.estimations = self.asked(database["estimations"], "estimated_at")
        self.votes = self.asked(database["votes"], "voted_at")
        self.users = self.asked(database["users"], "created_at")
        self.events = self.asked(database["events"], "event_at")
        self.all_rooms = database["rooms"]
        self.rooms = self.asked(database["rooms"], "first_used_at")
        self.all_estimations = database["estimations"]
        self.days = self.listed()

    def asked(self, rows: Rows, at: str) -> Rows:
        """The rows of the days asked for."""
        if self.stretch is None:
            return rows
        first, last = self.stretch
        return [row for row in rows if first <= self.day(row[at]) <= last]

    def listed(self) -> list[date]:
        """The days of the series."""
        today = self.now.astimezone(self.zone).date()
        first, last = self.stretch or (self.start, today)
        count = (min(last, today) - first).days + 1
        every = [first + timedelta(n) for n in range(count)]
        return [day for day in every if self.lists(day)]

    def lists(self, day: date) -> bool:
        return self.weekends or day.weekday() < 5

    def buckets(self) -> dict[date, list[date]]:
        """The days of the series per interval, known by its first day."""
        found: dict[date, list[date]] = {}
        for day in self.days:
            begins = {
                "day": day,
                "week": day - timedelta(day.weekday()),
                "month": day.replace(day=1),
            }[self.interval]
            found.setdefault(begins, []).append(day)
        return found

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def answer(self) -> dict[str, Any]:
        return {
            "traffic": self.traffic(),
            "votes": self.vote_figures(),
            "behaviour": self.behaviour(),
            "reoccurring": self.reoccurring(),
            "historical": self.historical(),
            "location_and_user_agent": self.location(),
        }

    def traffic(self) -> dict[str, Any]:
        users = {view["user_id"] for view in self.page_views}
        estimators = {
            row["user_id"]
            for row in self.estimations
            if self.stretch or row["estimated_at"] > self.opens
        }
        bounced = 1 - len(estimators) / len(users) if users else 0
        return {
            "unique_users": len(users),
            "page_views": len(self.page_views),
            "bounce_rate": round(max(bounced, 0), 2),
            "average_duration": round(mean(self.sessions()) / 60, 2),
        }

    def sessions(self) -> list[float]:
        """Lengths in seconds."""
        moments: dict[str, list[datetime]] = {}
        for rows, column in (
            (self.page_views, "viewed_at"),
            (self.estimations, "estimated_at"),
        ):
            for row in rows:
                if self.stretch or row[column] > self.opens:
                    moments.setdefault(row["user_id"], []).append(row[column])
        lengths = []
        for seen in moments.values():
            seen.sort()
            first = last = seen[0]
            for at in seen[1:]:
                if (at - last).total_seconds() > 600:
                    lengths.append((last - first).total_seconds() + 10)
                    first = at
                last = at
            lengths.append((last - first).total_seconds() + 10)
        return lengths

    def vote_figures(self) -> dict[str, Any]:
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
        names = {room["id"]: room["name"] for room in self.all_rooms}
        routes = Counter(view["route"] for view in self.page_views)
        sources = Counter(
            category(view["source"])
            for view in self.page_views
            if view["source"] is not None
        )
        sources.setdefault("Other", 0)
        return {
            "routes": {route: routes[route] for route in sorted(routes)},
            "events": largest(Counter(row["event"] for row in self.events)),
            "sources": largest(sources),
            "rooms": largest(
                Counter(named(names.get(vote["room_id"])) for vote in self.votes),
                40,
            ),
        }

    def historical(self) -> list[dict[str, Any]]:
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
        for begins, days in self.buckets().items():
            row: dict[str, Any] = {"date": begins}
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
        per_day: dict[date, dict[str, Any]] = {}
        keys = (("user_id", "users"), ("room_id", "rooms"))
        seen: dict[str, dict[Any, list[date]]] = {key: {} for key, _ in keys}
        earlier = {key: self.seen_before(key) for key, _ in keys}
        for day in self.days:
            row: dict[str, Any] = {}
            today = [r for r in self.estimations if self.day(r["estimated_at"]) == day]
            for key, plural in keys:
                for who in {r[key] for r in today}:
                    seen[key].setdefault(who, []).append(day)
                back = [
                    days
                    for who, days in seen[key].items()
                    if len(days) >= 2 or who in earlier[key]
                ]
                row[f"reoccurring_{plural}"] = len(back)
                row[f"adjusted_reoccurring_{plural}"] = sum(
                    (day - days[-1]).days <= 30 for days in back
                )
            per_day[day] = row
        return [
            {"date": begins, **per_day[days[-1]]}
            for begins, days in self.buckets().items()
        ]

    def seen_before(self, key: str) -> set[Any]:
        """Who estimated on a listed day from the start until before the stretch."""
        if self.stretch is None:
            return set()
        return {
            row[key]
            for row in self.all_estimations
            for day in [self.day(row["estimated_at"])]
            if self.start <= day < self.stretch[0] and self.lists(day)
        }

    def location(self) -> dict[str, Any]:
        def counted(key: Callable[[Row], Any]) -> Counter[Any]:
            return Counter(key(user) for user in self.users)

        def places(place: str) -> list[dict[str, Any]]:
            counts = counted(lambda user: (user["country"], user[place]))
            order = sorted(counts, key=lambda pair: (-counts[pair], *nulls_last(pair)))
            return [
                {"country": pair[0], place: pair[1], "count": counts[pair]}
                for pair in order[:40]
            ]

        return {
            **{
                name: largest(counted(lambda user, name=name: named(user[name])))  # type: ignore[misc]
                for name in ("device", "os", "browser")
            },
            "country": largest(counted(lambda user: named(user["country"])), 40),
            "country_region": places("region"),
            "country_city": places("city"),
        }

    def room(self, room_id: int) -> dict[str, Any]:
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
        until = self.now - timedelta(days=1) if day_before else datetime.max
        since = self.now - timedelta(days=2 if day_before else 1)

        def recent(rows: Rows, at: str) -> Rows:
            return [
                row
                for row in rows
                if self.stretch or since < row[at] <= until.replace(tzinfo=UTC)
            ]

        votes = recent(self.votes, "voted_at")
        views = recent(self.page_views, "viewed_at")
        return {
            "votes": len(votes),
            "estimations": sum(vote["amount_of_estimations"] for vote in votes),
            "rooms": len({vote["room_id"] for vote in votes}),
            "unique_users": len({view["user_id"] for view in views}),
            "page_views": len(views),
        }


def stretch_before(stretch: tuple[date, date]) -> tuple[date, date]:
    """As many days, just before."""
    first, last = stretch
    days = (last - first).days + 1
    return first - timedelta(days), last - timedelta(days)


def change(now: Row, before: Row) -> dict[str, float | None]:
    """In per cent of the figure before, for single figures."""
    return {
        name: round((now[name] - before[name]) / before[name] * 100, 2)
        if before[name]
        else None
        for name in now
        if not isinstance(now[name], dict)
    }


def mean(values: Iterable[Any]) -> float:
    """Mean, 0 of nothing."""
    found = list(values)
    return float(sum(found)) / len(found) if found else 0


def named(name: str | None) -> str:
    return "Unknown" if name is None else name


def largest(counts: Counter[str], top: int | None = None) -> dict[str, int]:
    order = sorted(counts, key=lambda key: (-counts[key], key))
    return {key: counts[key] for key in order[:top]}


def nulls_last(pair: Iterable[str | None]) -> list[tuple[bool, str]]:
    return [(part is None, part or "") for part in pair]


def category(source: str) -> str:
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
