"""The statistics by hand: plain Python over lists of rows, written from the definitions.

Nothing here shares a line with `calculations`; a row is a dict, a table a list of rows.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, tzinfo
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
    """Answers about one database, as of *now*, with days cut in *zone*."""

    def __init__(
        self, database: Database, start: date, now: datetime, zone: tzinfo
    ) -> None:
        self.page_views = database["page_views"]
        self.estimations = database["estimations"]
        self.votes = database["votes"]
        self.users = database["users"]
        self.events = database["events"]
        self.rooms = database["rooms"]
        self.now, self.zone, self.start = now, zone, start
        self.opens = datetime.combine(start, time(), zone)
        self.days = [
            day
            for day in (
                start + timedelta(n)
                for n in range((now.astimezone(zone).date() - start).days + 1)
            )
            if day.weekday() < 5
        ]

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
            if row["estimated_at"] > self.opens
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
                if row[column] > self.opens:
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
        names = {room["id"]: room["name"] for room in self.rooms}
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
        for n, day in enumerate(self.days):
            row: dict[str, Any] = {"date": day}
            for name, counts in per_day.items():
                window = self.days[n - 29 : n + 1] if n >= 29 else []
                row[name] = counts[day]
                row[f"acc_{name}"] = sum(counts[d] for d in self.days[: n + 1])
                row[f"ma_{name}"] = (
                    round(sum(counts[d] for d in window) / 30, 2) if window else None
                )
            listed.append(row)
        return listed

    def reoccurring(self) -> list[dict[str, Any]]:
        listed = []
        seen: dict[str, dict[Any, list[date]]] = {"user_id": {}, "room_id": {}}
        for day in self.days:
            row: dict[str, Any] = {"date": day}
            today = [r for r in self.estimations if self.day(r["estimated_at"]) == day]
            for key, plural in (("user_id", "users"), ("room_id", "rooms")):
                for who in {r[key] for r in today}:
                    seen[key].setdefault(who, []).append(day)
                back = [days for days in seen[key].values() if len(days) >= 2]
                row[f"reoccurring_{plural}"] = len(back)
                row[f"adjusted_reoccurring_{plural}"] = sum(
                    (day - days[-1]).days <= 30 for days in back
                )
            listed.append(row)
        return listed

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

    def daily(self) -> dict[str, Any]:
        since = self.now - timedelta(hours=24)
        votes = [vote for vote in self.votes if vote["voted_at"] > since]
        views = [view for view in self.page_views if view["viewed_at"] > since]
        return {
            "votes": len(votes),
            "estimations": sum(vote["amount_of_estimations"] for vote in votes),
            "rooms": len({vote["room_id"] for vote in votes}),
            "unique_users": len({view["user_id"] for view in views}),
            "page_views": len(views),
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
