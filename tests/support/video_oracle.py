"""The reports of the example OctaneBrew in plain Python, from messages of Kafka."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

PAIRED = timedelta(seconds=5)
VIEWS = ("view", "video_view")
COMMENTS = ("comment", "comment_add", "chat_message")
LIKES = ("like", "video_like")
SHARES = ("share", "video_share", "video_share_click")
JOINS, LEAVES = (
    ("subscribe", "channel_subscribe"),
    ("unsubscribe", "channel_unsubscribe"),
)
REPORTED_BY_SERVICE = {
    "comment_add": "comment",
    "video_like": "like",
    "video_share": "share",
    "video_share_click": "share",
}
KNOWN = {"app_id", "event_name", "event", "timestamp", "ts", "user_id", "event_id"}

type Row = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """An accepted event; `channel` is its own one, None if it has none or "global"."""

    name: str
    at: datetime
    app: str
    user: str
    properties: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A property as text; empty without it."""
        value = self.properties.get(name)
        return "" if value is None else str(value)

    @property
    def channel(self) -> str | None:
        """Its own channel."""
        own = self.text("channel_id")
        return None if own in ("", "global") else own

    @property
    def watched(self) -> float:
        """Seconds of watch time."""
        try:
            seconds = float(self.text("watch_time"))
        except ValueError:
            return 0
        return seconds if math.isfinite(seconds) else 0

    @property
    def change(self) -> int:
        """Minus one for what is taken back, by a negative `value`."""
        return -1 if float(self.text("value") or 1) < 0 else 1


def accepted(messages: Iterable[tuple[bytes, datetime]], now: datetime) -> list[Event]:
    """The events that *messages* contain, each once."""
    found: list[Event] = []
    ids: set[str] = set()
    for value, at in messages:
        event = _event(value, at, now)
        if event is None or (known := event.text("event_id")) in ids:
            continue
        ids |= {known} - {""}
        found.append(event)
    return found


def _event(value: bytes, produced: datetime, now: datetime) -> Event | None:
    try:
        sent = json.loads(value)
    except ValueError:
        return None
    if not isinstance(sent, dict) or not (
        name := sent.get("event_name", sent.get("event"))
    ):
        return None
    try:
        at = _instant(sent.get("timestamp", sent.get("ts")), produced)
    except ValueError:
        return None
    properties = sent.get(
        "properties", {k: v for k, v in sent.items() if k not in KNOWN}
    )
    if not isinstance(properties, dict):
        return None
    if not now - timedelta(days=90) <= at <= now + timedelta(minutes=10):
        return None
    if "event_id" in sent:
        properties = {**properties, "event_id": sent["event_id"]}
    user = str(sent.get("user_id", "anonymous"))
    return Event(name, at, sent.get("app_id", "unknown"), user, properties)


def _instant(value: Any, produced: datetime) -> datetime:
    if value is None:
        return produced
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)


class VideoReports:
    """The seven reports about *events*, as of *now*, for the days of *zone*."""

    def __init__(
        self, events: Iterable[Event], now: datetime, app: str, zone: tzinfo = UTC
    ) -> None:
        self._now = now
        self._zone = zone
        self._app = app
        self._every = list(events)
        of_app = [event for event in self._every if event.app == app]
        self._past = [event for event in of_app if event.at <= now]
        named: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._titles: dict[str, str] = {}
        self._pictures: dict[str, str] = {}
        for event in sorted(of_app, key=lambda event: event.at):
            video = event.text("video_id")
            if video and event.channel:
                named[video][event.channel] += 1
            for texts, name in (
                (self._titles, "title"),
                (self._pictures, "thumbnail_url"),
            ):
                if video and event.text(name):
                    texts[video] = event.text(name)
        self._channels = {
            video: min(counts, key=lambda c: (-counts[c], c))
            for video, counts in named.items()
        }

    def overview_stats(self, days: int, channel: str) -> list[Row]:
        """One row."""
        of_channel = self._of(channel, timedelta(days=days))
        views, seconds = _views(of_channel), _watched(of_channel)
        changes = [e for e in of_channel if e.name in (*JOINS, *LEAVES)]
        change = sum(
            1 if event.name in JOINS else -1
            for event in changes
            if event.channel
            or not any(
                other.channel
                and (other.name in JOINS) == (event.name in JOINS)
                and _is_one_act(event, other)
                for other in changes
            )
        )
        return [
            {
                "views": views,
                "watch_time_hours": seconds / 3600,
                "subscriber_change": change,
                "avg_view_duration": seconds / views if views else 0,
            }
        ]

    def chronological_trend(self, days: int, channel: str) -> list[Row]:
        """A row per day or hour."""
        start = self._bucket_start(days)
        of_channel = self._of(channel, timedelta(days=days))
        counts = Counter(start(e.at) for e in of_channel if e.name in VIEWS)
        return [
            {"bucket": bucket, "views": counts[bucket]}
            for bucket in self._buckets(days, counts)
        ]

    def top_content(self, days: int, channel: str, limit: int) -> list[Row]:
        """A row per video."""
        of_video: defaultdict[str, list[Event]] = defaultdict(list)
        for event in self._of(channel, timedelta(days=days)):
            if event.name in (*VIEWS, "video_heartbeat") and event.text("video_id"):
                of_video[event.text("video_id")].append(event)
        found = [self._content(video, seen) for video, seen in of_video.items()]
        return sorted(found, key=lambda row: (-row["views"], row["video_id"]))[:limit]

    def _content(self, video: str, seen: list[Event]) -> Row:
        views = _views(seen)
        return {
            "video_id": video,
            "title": self._titles.get(video, ""),
            "thumbnail_url": self._pictures.get(video, ""),
            "views": views,
            "avg_view_duration": _watched(seen) / views if views else 0,
        }

    def realtime_velocity(self, channel: str) -> list[Row]:
        """A row per hour, the current one included."""
        of_channel = self._of(channel, timedelta(hours=48))
        counts = Counter(self._hour(e.at) for e in of_channel if e.name in VIEWS)
        hours = [self._hour(self._now) - timedelta(hours=n) for n in range(48, -1, -1)]
        return [{"hour": hour, "views": counts[hour]} for hour in hours]

    def search_analytics(self, days: int, limit: int) -> list[Row]:
        """A row per text."""
        past = self._since(timedelta(days=days))
        searches = [
            e for e in past if e.name in ("search", "search_query") and e.text("query")
        ]
        by_text: defaultdict[str, list[datetime]] = defaultdict(list)
        for event in searches:
            if event.name == "search":
                by_text[event.text("query")].append(event.at)
        counts = Counter(
            event.text("query")
            for event in searches
            if event.name == "search"
            or not any(
                abs(at - event.at) <= PAIRED for at in by_text[event.text("query")]
            )
        )
        found: list[Row] = [{"query": t, "count": n} for t, n in counts.items()]
        return sorted(found, key=lambda row: (-row["count"], row["query"]))[:limit]

    def engagement_trend(self, days: int, channel: str) -> list[Row]:
        """A row per day or hour."""
        start = self._bucket_start(days)
        by_service: defaultdict[tuple[str, str, int], list[Event]] = defaultdict(list)
        for event in self._since(timedelta(days=days)):
            key = (event.name, event.text("video_id"), event.change)
            by_service[key].append(event)
        totals: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        for event in self._of(channel, timedelta(days=days)):
            service, video = REPORTED_BY_SERVICE.get(event.name), event.text("video_id")
            same = by_service[service, video, event.change] if service and video else []
            if any(_is_one_act(event, other) for other in same):
                continue
            for names, column in (
                (COMMENTS, "comments"),
                (LIKES, "likes"),
                (SHARES, "shares"),
            ):
                if event.name in names:
                    step = event.change if column == "likes" else 1
                    totals[start(event.at)][column] += step
        return [
            {"bucket": b, **{c: totals[b][c] for c in ("comments", "likes", "shares")}}
            for b in self._buckets(days, totals)
        ]

    def _since(self, length: timedelta) -> list[Event]:
        return [event for event in self._past if event.at >= self._now - length]

    def _of(self, channel: str, length: timedelta) -> list[Event]:
        return [e for e in self._since(length) if self._channel(e) == channel]

    def _channel(self, event: Event) -> str:
        known = self._channels.get(event.text("video_id"))
        return event.channel or known or event.text("channel_id")

    def _buckets(self, days: int, found: Iterable[datetime]) -> list[datetime]:
        start = self._bucket_start(days)
        at, end = start(self._now - timedelta(days=days)), start(self._now)
        filled = set(found)
        while at < end:
            filled.add(at)
            # The clocks may change within a day, by at most an hour.
            at = start(at + timedelta(hours=26 if days >= 7 else 1))
        return sorted(filled)

    def _bucket_start(self, days: int) -> Callable[[datetime], datetime]:
        return self._day if days >= 7 else self._hour

    def _hour(self, at: datetime) -> datetime:
        local = at.astimezone(self._zone)
        return at - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )

    def _day(self, at: datetime) -> datetime:
        day = at.astimezone(self._zone).date()
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


def _is_one_act(event: Event, other: Event) -> bool:
    users = {event.user, other.user}
    is_same_user = len(users) == 1 or "anonymous" in users
    return abs(event.at - other.at) <= PAIRED and is_same_user


def _views(events: Iterable[Event]) -> int:
    return sum(event.name in VIEWS for event in events)


def _watched(events: Iterable[Event]) -> float:
    return sum(event.watched for event in events if event.name == "video_heartbeat")
