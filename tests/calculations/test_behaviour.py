"""Behaviour: routes, events, traffic sources and rooms."""

import pytest

from calculations.analytics import collect_as
from calculations.behaviour import behaviour
from calculations.results import Behaviour
from tests.support.frames import frame, vote
from tests.support.oracle import Rows


def figures(
    page_views: Rows | None = None,
    events: Rows | None = None,
    votes: Rows | None = None,
    rooms: Rows | None = None,
) -> Behaviour:
    """Behaviour computed from literal rows."""
    return collect_as(
        Behaviour,
        behaviour(
            frame("page_views", page_views or []),
            frame("events", events or []),
            frame("votes", votes or []),
            frame("rooms", rooms or []),
        ),
    )


@pytest.mark.parametrize(
    ("source", "category"),
    [
        ("https://teams.microsoft.com", "Teams"),
        ("teamsx", "Other"),
        ("ads.example.com", "Google Ads"),
        ("google_ads", "Google Ads"),
        ("https://www.google.com/search", "Google Search"),
        ("https://www.google.de/", "Other"),
        ("https://free-planning-poker.com/room", "Free Planning Poker"),
        ("my cv.pdf", "CV"),
        ("CV", "Other"),
        ("email", "Email"),
        ("newsletter-email-7", "Email"),
        ("https://github.com/x", "GitHub"),
        ("https://www.bing.com/", "Bing"),
        ("teams.github.com", "Teams"),
        ("ads.bing.com", "Google Ads"),
        ("", "Other"),
        ("first line\nhttps://bing.com", "Bing"),
    ],
)
def test_the_first_pattern_found_takes_the_source(source: str, category: str) -> None:
    """Patterns match anywhere, are case-sensitive, and are tried in order."""
    result = figures([{"source": source}]).sources
    assert result == {"Other": 0} | {category: 1}


def test_page_views_without_a_source_are_not_counted() -> None:
    """Other is present with zero."""
    assert figures([{"route": "HOME"}]).sources == {"Other": 0}


def test_routes_are_sorted_by_name_and_events_by_count() -> None:
    """Equal counts are ordered by name."""
    result = figures(
        [{"route": route} for route in ("ROOM", "HOME", "ROOM")],
        [{"event": event} for event in ("C", "B", "A", "B")],
    )
    assert list(result.routes.items()) == [("HOME", 1), ("ROOM", 2)]
    assert list(result.events.items()) == [("B", 2), ("A", 1), ("C", 1)]


def test_rooms_that_are_deleted_or_unnamed_are_unknown() -> None:
    """They are added to a room really named Unknown; equal names are added up, too."""
    rooms: Rows = [
        {"id": 1, "name": "daily"},
        {"id": 2, "name": None},
        {"id": 3, "name": "Unknown"},
        {"id": 4, "name": "daily"},
    ]
    votes = [vote(room_id=room) for room in (1, 2, 3, 4, 5, 5)]
    result = figures(votes=votes, rooms=rooms).rooms
    assert list(result.items()) == [("Unknown", 4), ("daily", 2)]


def test_only_the_forty_largest_rooms_are_listed() -> None:
    """Of 41 rooms with one vote each, the last by name is omitted."""
    rooms: Rows = [{"id": n, "name": f"room {n:02}"} for n in range(41)]
    result = figures(votes=[vote(room_id=n) for n in range(41)], rooms=rooms).rooms
    assert list(result) == [f"room {n:02}" for n in range(40)]
