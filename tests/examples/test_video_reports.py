"""The reports of the OctaneBrew example equal their definition, in zones and on bounds."""

import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import polars.selectors as cs
import pytest

from demo.example import find_example
from readmodel.store.event_tables import EVENT_SCHEMA
from readmodel.tables import EVENT_TABLE_NAMES
from sqlfiles.catalogue import Catalogue, load
from sqlfiles.session import SessionOptions, add_tables, connect
from tests.support.effort import examples, some_long
from tests.support.video_oracle import (
    COMMENTS,
    JOINS,
    LEAVES,
    LIKES,
    SHARES,
    VIEWS,
    Event,
    Row,
    VideoReports,
)

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
NOW = datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
"""The day after clocks changed in New York; in Kolkata noon, in New York 1:30."""

NAMES = (*VIEWS, *COMMENTS, *LIKES, *SHARES, *JOINS, *LEAVES)
MORE_NAMES = ("video_heartbeat", "search", "search_query")


@cache
def catalogue(zone: str) -> Catalogue:
    """The example's definitions in *zone*."""
    found = load(
        find_example("octanebrew").views_dir, EVENT_TABLE_NAMES, ZoneInfo(zone)
    )
    assert found.errors == ()
    return found


def random_events(chance: random.Random, count: int) -> list[Event]:
    """Events in clusters of some seconds, around NOW and on the bounds of windows."""
    bounds = [timedelta(hours=48), timedelta(days=2), timedelta(days=7), timedelta()]
    steps = [timedelta(seconds=n) for n in (-6, -5, -1, 0, 1, 5, 6)]
    steps += [timedelta(microseconds=n) for n in (-1, 1)]
    found: list[Event] = []
    while len(found) < count:
        ago = timedelta(days=chance.choice([0.1, 2, 9])) * chance.random()
        if chance.random() < 0.3:
            ago = chance.choice(bounds)
        near = chance.choices(steps, k=chance.randint(1, 4))
        found += [random_event(chance, NOW - ago + step) for step in near]
    return found


def random_event(chance: random.Random, at: datetime) -> Event:
    """An event that may lack anything."""
    optional: dict[str, Any] = {
        "video_id": chance.choice(["v1", "v2", "v3", ""]),
        "channel_id": chance.choice(["c1", "c2", "global", ""]),
        "value": chance.choice([1, -1, "-1"]),
        "watch_time": chance.choice([10, "10", 2.5, "2.5", "x", "inf", None]),
        "query": chance.choice(["a", "b", ""]),
        "title": chance.choice(["A", "B", ""]),
    }
    kept = {name: value for name, value in optional.items() if chance.random() < 0.7}
    name = chance.choice([*NAMES, *MORE_NAMES])
    user = chance.choice(["anonymous", "u1", "u2"])
    return Event(name, at, chance.choice(["app", "app", "other"]), user, kept)


def stored(events: list[Event]) -> pl.DataFrame:
    """The same as rows of the read model."""
    rows = [
        {
            "event_id": f"e{number:04}",
            "app_id": event.app,
            "name": event.name,
            "user_id": None if event.user == "anonymous" and number % 2 else event.user,
            "at": event.at,
            "properties": json.dumps(event.properties),
        }
        for number, event in enumerate(events)
    ]
    return pl.DataFrame(rows, schema=EVENT_SCHEMA)


class Engine:
    """The example's SQL over the rows of some files."""

    def __init__(self, zone: str, folder: Path, events: list[Event]) -> None:
        self._zone = zone
        self._files = {"events": [folder / "events.parquet"]}
        stored(events).write_parquet(self._files["events"][0])
        table = catalogue(zone).table("video_channels")
        assert table
        self._files["video_channels"] = [folder / "video_channels.parquet"]
        self._run(table.sql, ["events"]).write_parquet(self._files["video_channels"][0])

    def report(self, name: str, **values: Any) -> list[Row]:
        """The rows of a report."""
        definition = catalogue(self._zone).report(name)
        assert definition
        assert {p.name for p in definition.parameters} == values.keys()
        rows = self._run(definition.sql, list(definition.inputs), values)
        return rows.to_dicts()

    def _run(
        self, sql: str, inputs: list[str], values: dict[str, Any] | None = None
    ) -> pl.DataFrame:
        connection = connect(SessionOptions(ZoneInfo(self._zone), NOW))
        add_tables(connection, {name: self._files[name] for name in inputs})
        rows = pl.DataFrame(connection.sql(sql, params=values))
        connection.close()
        # In the hour that is repeated, instants of different zones are never equal.
        return rows.with_columns(cs.datetime().dt.convert_time_zone("UTC"))


@pytest.mark.parametrize("zone", some_long(ZONES))
@pytest.mark.parametrize("seed", range(examples(1)))
def test_reports_equal_their_definition(zone: str, seed: int, tmp_path: Path) -> None:
    """Whatever events lack, and whenever they happened."""
    events = random_events(random.Random(seed), 150)
    engine = Engine(zone, tmp_path, events)
    oracle = VideoReports(events, NOW, "app", ZoneInfo(zone))
    for channel in ("c1", "global"):
        found = engine.report("realtime_velocity", app_id="app", channel_id=channel)
        assert found == oracle.realtime_velocity(channel)
        for days in (2, 7):
            values: Row = {"app_id": "app", "channel_id": channel, "days": days}
            for name in ("chronological_trend", "engagement_trend", "overview_stats"):
                expected = getattr(oracle, name)(days, channel)
                assert approximate(engine.report(name, **values)) == expected
            top = engine.report("top_content", **values, limit=2)
            assert approximate(top) == oracle.top_content(days, channel, 2)
    for days in (2, 30):
        searches = engine.report("search_analytics", app_id="app", days=days, limit=5)
        assert searches == oracle.search_analytics(days, 5)


def approximate(rows: list[Row]) -> list[Row]:
    """Rows with fractions that may differ in the last digits."""
    return [
        {n: pytest.approx(v) if isinstance(v, float) else v for n, v in row.items()}
        for row in rows
    ]


def test_without_events_there_are_zeros(tmp_path: Path) -> None:
    """And rows for each day and hour."""
    engine = Engine("UTC", tmp_path, [])
    of_channel: Row = {"app_id": "app", "channel_id": "c"}
    assert engine.report("realtime_stats", **of_channel) == [
        {"active_viewers": 0, "views_48h": 0}
    ]
    assert len(engine.report("chronological_trend", **of_channel, days=3)) == 72
    assert len(engine.report("realtime_velocity", **of_channel)) == 49
    (overview,) = engine.report("overview_stats", **of_channel, days=7)
    assert set(overview.values()) == {0}
