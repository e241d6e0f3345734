"""A small database that makes every statistic non-empty."""

from datetime import timedelta
from decimal import Decimal

from tests.support.frames import NOW, at, vote
from tests.support.oracle import Database

TOKEN = "correct-horse-battery-staple"
TAKEN_AT = NOW - timedelta(minutes=3)

SAMPLE: Database = {
    "page_views": [
        {
            "user_id": user,
            "route": route,
            "source": source,
            "viewed_at": at(moment),
        }
        for user, route, source, moment in (
            ("ada", "HOME", "https://www.google.com/", "2024-06-03 09:00"),
            ("ada", "ROOM", None, "2024-06-03 09:04"),
            ("bob", "HOME", "", "2024-07-31 15:31"),
            ("cyd", "ROADMAP", "https://teams.microsoft.com", "2024-08-01 15:00"),
        )
    ],
    "estimations": [
        {
            "user_id": user,
            "room_id": 1,
            "estimation": value,
            "estimated_at": at(moment),
        }
        for user, value, moment in (
            ("ada", 5, "2024-06-03 09:05"),
            ("ada", 8, "2024-06-04 09:05"),
            ("bob", None, "2024-06-04 09:05"),
        )
    ],
    "votes": [
        vote(voted_at=at("2024-06-03 09:06")),
        vote(voted_at=at("2024-08-01 09:06"), avg_estimation=Decimal("6.50")),
        vote(voted_at=at("2024-08-01 10:06"), room_id=9, duration=91),
    ],
    "users": [
        {
            "device": "desktop",
            "os": "Windows",
            "browser": "Chrome",
            "country": country,
            "region": None,
            "city": city,
            "created_at": at("2024-06-03 09:00"),
        }
        for country, city in (("DE", "Köln"), ("DE", "Köln"), (None, None))
    ],
    "events": [{"event": "ENTERED_NEW_ROOM", "event_at": at("2024-06-03 09:00")}],
    "rooms": [{"id": 1, "name": "daily 🃏", "first_used_at": at("2024-06-03 09:00")}],
}
