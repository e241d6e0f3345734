"""The first answers of the API, requested over HTTP and formatted as a table."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

import httpx

from demo.errors import DemoError

TIMEOUT_SECONDS: Final = 60

type _Row = tuple[str, str, str]
"""Section (empty if it is that of the row above), label, number."""


def get_json(client: httpx.Client, path: str) -> Any:
    """Return the JSON of ``GET path``. Raises DemoError unless the status is 200."""
    try:
        response = client.get(path, timeout=TIMEOUT_SECONDS)
    except httpx.TransportError as error:
        raise DemoError(f"GET {path} was not answered: {error}") from error
    if response.status_code != httpx.codes.OK:
        raise DemoError(
            f"GET {path} was answered {response.status_code}: {response.text}"
        )
    return response.json()


def format_table(analytics: Mapping[str, Any], daily: Mapping[str, Any]) -> str:
    """Format the main figures of ``GET /`` and ``GET /daily-analytics`` as lines."""
    rows = list(_rows(analytics["data"], daily))
    section, label, number = (
        max(map(len, column)) for column in zip(*rows, strict=True)
    )
    return "\n".join(
        f"  {a:<{section}}  {b:<{label}}  {c:>{number}}" for a, b, c in rows
    )


def _rows(data: Mapping[str, Any], daily: Mapping[str, Any]) -> Iterator[_Row]:
    traffic, votes, behaviour = data["traffic"], data["votes"], data["behaviour"]
    yield "Traffic", "unique users", _count(traffic["unique_users"])
    yield "", "page views", _count(traffic["page_views"])
    yield "", "bounce rate", f"{traffic['bounce_rate']:.0%}"
    yield "", "average session", f"{traffic['average_duration']:.2f} min"
    yield "Votes", "votes", _count(votes["total_votes"])
    yield "", "estimations", _count(votes["total_estimations"])
    yield "", "average estimation", f"{votes['avg_estimation']:.2f}"
    yield "", "average duration", f"{votes['avg_duration_per_vote']:.2f} min"
    yield "Behaviour", *_largest("page", behaviour["routes"])
    yield "", *_largest("source", behaviour["sources"])
    yield "", *_largest("event", behaviour["events"])
    yield from _latest_day(data["historical"])
    yield "Last 24 hours", "unique users", _count(daily["unique_users"])
    yield "", "page views", _count(daily["page_views"])
    yield "", "votes", _count(daily["votes"])
    yield "", "estimations", _count(daily["estimations"])


def _latest_day(historical: list[Mapping[str, Any]]) -> Iterator[_Row]:
    if not historical:
        return
    day = historical[-1]
    name = date.fromisoformat(day["date"]).strftime("%A, %d %b")
    yield name, "new users", _count(day["new_users"])
    yield "", "page views", _count(day["page_views"])
    yield "", "votes", _count(day["votes"])


def _largest(what: str, counts: Mapping[str, int]) -> tuple[str, str]:
    name = max(counts, key=lambda key: (counts[key], key))
    return f"top {what}: {name}", _count(counts[name])


def _count(number: int) -> str:
    return f"{number:,}"
