"""Small tables for tests of statistics: from literal rows, or drawn by hypothesis."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

from calculations.period import Period
from calculations.tables import Tables
from readmodel.store import quarters, tallies, visits
from routers.tables import with_visitor
from tests.support.oracle import Database, Row, Rows

START = date(2024, 6, 3)
NOW = datetime(2024, 8, 1, 15, 30, tzinfo=UTC)

INSTANT = pl.Datetime("us", "UTC")
SCHEMAS: dict[str, dict[str, Any]] = {
    "page_views": {
        "user_id": pl.String,
        "route": pl.String,
        "source": pl.String,
        "viewed_at": INSTANT,
    },
    "estimations": {
        "user_id": pl.String,
        "room_id": pl.Int32,
        "estimation": pl.Int16,
        "estimated_at": INSTANT,
    },
    "votes": {
        "room_id": pl.Int32,
        "avg_estimation": pl.Decimal(4, 2),
        "min_estimation": pl.Int16,
        "max_estimation": pl.Int16,
        "amount_of_estimations": pl.Int16,
        "amount_of_spectators": pl.Int16,
        "duration": pl.Int16,
        "voted_at": INSTANT,
    },
    "users": {
        "id": pl.String,
        "device": pl.String,
        "os": pl.String,
        "browser": pl.String,
        "country": pl.String,
        "region": pl.String,
        "city": pl.String,
        "created_at": INSTANT,
    },
    "events": {"user_id": pl.String, "event": pl.String, "event_at": INSTANT},
    "rooms": {"id": pl.Int32, "name": pl.String, "first_used_at": INSTANT},
}

EMPTY: Database = {name: [] for name in SCHEMAS}


def at(text: str) -> datetime:
    """Parse a UTC instant: ``at("2024-06-03 12:00")``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start: date = START, now: datetime = NOW, zone: str = "UTC") -> Period:
    """A period without a range."""
    return Period(start=start, now=now, zone=ZoneInfo(zone))


def frame(name: str, rows: Rows) -> pl.LazyFrame:
    """A LazyFrame of *rows* with the schema of table *name*; missing columns are null."""
    return pl.LazyFrame(
        [{column: row.get(column) for column in SCHEMAS[name]} for row in rows],
        schema=SCHEMAS[name],
    )


def visits_frame(name: str, rows: Rows) -> pl.LazyFrame:
    """The visits derived from *rows* of table *name*, as a snapshot stores them."""
    return visits.derive(frame(name, rows), f"fpp_{name}")


def tables(database: Database) -> Tables:
    """The tables of *database*, with visits."""
    frames: dict[str, Any] = {
        name: with_visitor(frame(name, rows), "id" if name == "users" else "user_id")
        for name, rows in database.items()
        if name != "page_views"
    }
    return Tables(
        **frames,
        viewed=visits_frame("page_views", database["page_views"]),
        estimated=visits_frame("estimations", database["estimations"]),
    )


def tallied(database: Database, parts: int = 2) -> Tables:
    """The tables of *database*, with the tallies and quarters of *parts* parts."""

    def of_parts(
        derive: Callable[[pl.LazyFrame, str], pl.LazyFrame], name: str
    ) -> pl.LazyFrame:
        rows = database[name]
        pieces = (rows[number::parts] for number in range(parts))
        return pl.concat(derive(frame(name, piece), f"fpp_{name}") for piece in pieces)

    return replace(
        tables(database),
        page_view_tally=of_parts(tallies.derive, "page_views"),
        event_tally=of_parts(tallies.derive, "events"),
        user_tally=of_parts(tallies.derive, "users"),
        estimation_tally=of_parts(tallies.derive, "estimations"),
        vote_tally=of_parts(tallies.derive, "votes"),
        quarters={
            name: of_parts(quarters.derive, name)
            for name in ("page_views", "estimations", "votes", "users")
        },
    )


def vote(**columns: Any) -> Row:
    """A vote with default values, overridden by *columns*."""
    return {
        "room_id": 1,
        "avg_estimation": Decimal("3.00"),
        "min_estimation": 1,
        "max_estimation": 5,
        "amount_of_estimations": 4,
        "amount_of_spectators": 0,
        "duration": 60,
        "voted_at": at("2024-06-04 10:00"),
    } | columns


# Moments close to each other, to midnight and to both clock changes exercise the
# boundaries of sessions, days and time zones.
_anchors = st.sampled_from(
    [
        at("2024-06-02 23:59:59"),
        at("2024-06-03 00:00:00"),
        at("2024-06-03 22:00:00"),
        at("2024-06-07 21:59:59"),
        at("2024-06-08 12:00:00"),
        at("2024-07-03 09:00:00"),
        at("2024-07-04 09:00:00"),
        at("2024-07-31 15:29:59"),
        at("2024-10-27 00:59:59"),
        at("2025-03-30 01:00:00"),
    ]
)
_steps = st.sampled_from([0, 0, 1, 5, 599, 600, 601, 3600, 86400, 30 * 86400])
moments = st.builds(lambda a, s: a + timedelta(seconds=s), _anchors, _steps)
USER_IDS = ["ada", "bob", "cyd", "", "ödön 🃏"]
_user_ids = st.none() | st.sampled_from(USER_IDS)
_room_ids = st.integers(1, 4)
_texts = st.sampled_from(["Unknown", "a", "b", "Zürich", "東京", ""])
_sources = st.sampled_from(
    [
        "https://teams.microsoft.com",
        "ads.google.com",
        "google_ads",
        "https://www.google.com/",
        "https://www.google.de/",
        "wwwxgoogle.com",
        "free-planning-poker.com",
        "cv",
        "my-email",
        "https://github.com/x",
        "https://www.bing.com",
        "CV",
        "",
        "multi\nline cv",
        "https://teams.cv",
    ]
)


def _rows(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[Rows]:
    return st.lists(st.fixed_dictionaries(columns), max_size=25)


def _with_ids(users: Rows) -> Rows:
    """Add unique ids, first those of the page views' users."""
    ids = [*USER_IDS[1:], USER_IDS[0]]
    return [
        {"id": ids[n] if n < len(ids) else f"u{n}", **user}
        for n, user in enumerate(users)
    ]


def databases_at(moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[Database]:
    """Small databases whose timestamps are drawn from *moments*."""
    return st.fixed_dictionaries(
        {
            "page_views": _rows(
                user_id=_user_ids,
                route=st.sampled_from(["HOME", "ROOM", "ROADMAP"]),
                source=st.none() | _sources,
                viewed_at=moments,
            ),
            "estimations": _rows(
                user_id=_user_ids,
                room_id=_room_ids,
                estimation=st.none() | st.integers(0, 21),
                estimated_at=moments,
            ),
            "votes": _rows(
                room_id=_room_ids,
                avg_estimation=st.decimals(0, 21, places=2),
                min_estimation=st.integers(0, 21),
                max_estimation=st.integers(0, 21),
                amount_of_estimations=st.integers(0, 30),
                amount_of_spectators=st.integers(0, 5),
                duration=st.integers(0, 32767),
                voted_at=moments,
            ),
            "users": _rows(
                device=st.none() | _texts,
                os=st.none() | _texts,
                browser=st.none() | _texts,
                country=st.none() | st.sampled_from(["DE", "US", "Unknown"]),
                region=st.none() | _texts,
                city=st.none() | _texts,
                created_at=moments,
            ).map(_with_ids),
            "events": _rows(
                user_id=_user_ids,
                event=st.sampled_from(["LEFT_ROOM", "ENTERED_NEW_ROOM"]),
                event_at=moments,
            ),
            "rooms": st.lists(
                st.fixed_dictionaries(
                    {
                        "id": _room_ids,
                        "name": st.none() | _texts,
                        "first_used_at": moments,
                    }
                ),
                unique_by=lambda room: room["id"],
            ),
        }
    )


databases = databases_at(moments)

zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]
)
nows = st.sampled_from(
    [NOW, at("2024-06-03 00:00"), at("2024-10-27 22:30"), at("2025-03-31 00:30")]
)
starts = st.sampled_from(
    [START, date(2024, 6, 8), date(2024, 7, 31), date(2024, 10, 26), date(2030, 1, 1)]
)
