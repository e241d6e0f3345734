"""Ninety days of messages of a video platform, as its services and browsers send them.

It creates the topic KAFKA_TOPIC and sends them to it. The same instant gives the same
messages.
"""

import json
import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

APP: Final = "openstream"
DAYS: Final = 90
VIEWS_PER_DAY: Final = 40
SPARE: Final = timedelta(minutes=10)
"""No event leaves a window of whole hours for so long after the instant."""

CHANNELS: Final = ("cooking-lab", "night-rides", "tiny-robots")
QUERIES: Final = ("sourdough", "night ride", "servo motor", "knife skills", "rain")
VIEWERS: Final = tuple(f"viewer-{number}" for number in range(1, 61))

type Event = dict[str, Any]


class Video(NamedTuple):
    """A video; one in nine has no title."""

    id: str
    channel: str
    title: str
    thumbnail: str


class Message(NamedTuple):
    """The value of a message, and when it was produced."""

    value: bytes
    at: datetime


TITLES: Final = (
    "Bread without kneading",
    "Through the tunnel at midnight",
    "A robot that waters plants",
    "Knives, and how to keep them sharp",
    "Rain on the mountain road",
    "Walking on six legs",
    "Soup from what is left",
    "The last train home",
    "",
)

VIDEOS: Final = tuple(
    Video(
        f"v{number:02}",
        CHANNELS[number % len(CHANNELS)],
        title,
        f"https://img.example.org/v{number:02}.jpg" if title else "",
    )
    for number, title in enumerate(TITLES, start=1)
)


def messages(now: datetime, views_per_day: float = VIEWS_PER_DAY) -> list[Message]:
    """All messages up to *now*, the oldest first, then those that are no good events."""
    chance = random.Random(18)
    found = [
        Message(json.dumps(event).encode(), at)
        for day in range(DAYS)
        for at, event in _day(chance, now, day, views_per_day)
    ]
    found.sort(key=lambda message: message.at)
    return [*found, *awkward_messages(now)]


def awkward_messages(now: datetime) -> list[Message]:
    """Messages that the old service dropped or miscounted without a word."""
    recent = now - timedelta(minutes=3)
    video = VIDEOS[0]
    beat = {"app_id": APP, "event": "video_heartbeat", "ts": recent.timestamp()}
    own = {"video_id": video.id, "channel_id": video.channel}
    values: list[object] = [
        b"\xff\xfe{",
        b'{"event_name": "video_view", ',
        [1, 2],
        {"app_id": APP, "timestamp": recent.isoformat()},
        {"event_name": "video_view", "timestamp": "yesterday"},
        {"event_name": "video_view", "ts": (now + timedelta(hours=1)).timestamp()},
        {"event_name": "video_view", "ts": (now - timedelta(days=400)).timestamp()},
        {"event_name": "video_view", "ts": recent.timestamp(), "properties": []},
        # Good ones: watch time as a number, a fraction, and texts; a user by number.
        {**beat, "user_id": 7, "properties": {**own, "watch_time": 12.5}},
        {**beat, "user_id": "viewer-1", "properties": {**own, "watch_time": "12.5"}},
        {**beat, "user_id": "viewer-1", "properties": {**own, "watch_time": "10"}},
        {**beat, "user_id": "viewer-2", "properties": {**own, "watch_time": "a lot"}},
        {**beat, "user_id": "viewer-2", "properties": {**own, "watch_time": "NaN"}},
        # The same event twice, and fields instead of properties.
        {**beat, "event_id": "twice", "user_id": "viewer-3", **own, "watch_time": 10},
        {**beat, "event_id": "twice", "user_id": "viewer-3", **own, "watch_time": 10},
    ]
    return [
        Message(v if isinstance(v, bytes) else json.dumps(v).encode(), recent)
        for v in values
    ]


def _day(
    chance: random.Random, now: datetime, day: int, views: float
) -> Iterator[tuple[datetime, Event]]:
    """The events of the *day* before now; 0 is the last one."""
    growth = 1.4 - day / DAYS
    for _ in range(round(views * growth * chance.uniform(0.6, 1.4))):
        ago = timedelta(days=day) + _moment(chance)
        yield from _visit(chance, now - ago)
    if day % 9 == 4:
        yield now - timedelta(days=day) - _moment(chance), _clip(chance)


def _moment(chance: random.Random) -> timedelta:
    """A time of a day, in none of the last minutes of an hour before now."""
    hour = chance.choices(range(24), [4, 2, 1, 1, *[2] * 8, *[3] * 6, *[6] * 6])[0]
    return timedelta(hours=hour, seconds=chance.uniform(360, 3600 - 600 - 60))


def _visit(chance: random.Random, start: datetime) -> Iterator[tuple[datetime, Event]]:
    """A viewer searches, watches a video, and perhaps does more."""
    video = chance.choices(VIDEOS, [9, 5, 7, 6, 4, 5, 2, 3, 1])[0]
    viewer = chance.choice(VIEWERS) if chance.random() < 0.6 else None
    user = viewer or "anonymous"
    at = start
    if chance.random() < 0.3:
        query = chance.choice(QUERIES)
        yield at, _browser("search_query", at, user, query=query)
        later = at + timedelta(milliseconds=chance.randint(50, 900))
        yield later, _service("search", later, query=query)
        at += timedelta(seconds=8)
    yield at, _browser("page_view", at, user, page=f"/watch/{video.id}")
    yield at, _view(chance, video, at)
    for number in range(1, chance.randint(1, 5)):
        beat = at + timedelta(seconds=10 * number)
        yield beat, _heartbeat(chance, video, beat, user, 10 * number)
    after = at + timedelta(seconds=60)
    yield from _reactions(chance, video, after, user)


def _view(chance: random.Random, video: Video, at: datetime) -> Event:
    """A view as the service sends it; the first releases called it `view`."""
    name = "video_view" if chance.random() < 0.9 else "view"
    return _service(
        name,
        at,
        video_id=video.id,
        channel_id=video.channel,
        title=video.title,
        thumbnail_url=video.thumbnail,
    )


def _heartbeat(
    chance: random.Random, video: Video, at: datetime, user: str, position: int
) -> Event:
    """Ten seconds of playing; half of the browsers' releases lack the channel."""
    watched: object = chance.choice([10, 10, "10", 9.5])
    own = {"video_id": video.id, "watch_time": watched, "position_sec": position}
    if chance.random() < 0.5:
        own["channel_id"] = video.channel
    return _browser("video_heartbeat", at, user, **own)


def _reactions(
    chance: random.Random, video: Video, at: datetime, user: str
) -> Iterator[tuple[datetime, Event]]:
    """What the browser reports, and a moment later the service."""
    soon = at + timedelta(milliseconds=chance.randint(100, 1500))
    own = {"video_id": video.id}
    if chance.random() < 0.25:
        yield at, _browser("video_like", at, user, **own)
        yield soon, _service("like", soon, **own, channel_id=video.channel, value=1)
        if chance.random() < 0.2:
            later = at + timedelta(seconds=90)
            yield later, _service("like", later, **own, value=-1)
    if chance.random() < 0.15:
        yield at, _browser("comment_add", at, user, **own, length=12)
        yield soon, _service("comment", soon, **own, channel_id="global")
    if chance.random() < 0.1:
        yield at, _browser("video_share", at, user, **own)
        yield soon, _service("share", soon, **own, channel_id=video.channel)
    if chance.random() < 0.05:
        yield at, _browser("video_share_click", at, user, **own)
    if chance.random() < 0.1:
        yield at, _browser("chat_message", at, user, **own)
    if chance.random() < 0.12:
        name = "subscribe" if chance.random() < 0.8 else "unsubscribe"
        yield at, _browser(name, at, user, **own)
        yield soon, _service(name, soon, channel_id=video.channel)


def _clip(chance: random.Random) -> Event:
    """A clip was cut: the only event of the service with a user, and without a time."""
    video = chance.choice(VIDEOS)
    properties = {"video_id": video.id, "clip_id": f"clip-{chance.randrange(10**6)}"}
    return {
        "app_id": APP,
        "event_name": "clip.ready",
        "user_id": chance.choice(VIEWERS),
        "properties": properties,
    }


def _service(name: str, at: datetime, **properties: object) -> Event:
    """An event of a service, with the fields of the README."""
    return {
        "app_id": APP,
        "event_name": name,
        "timestamp": at.isoformat(),
        "user_id": "anonymous",
        "properties": properties,
        "trace_id": f"{name}-{at:%H%M%S}",
    }


def _browser(name: str, at: datetime, user: str, **properties: object) -> Event:
    """An event of a browser, with short names and milliseconds."""
    sent = {"app_id": APP, "event": name, "ts": round(at.timestamp() * 1000)}
    return {**sent, "user_id": user, "properties": properties}


def create_topic(servers: str, topic: str) -> None:
    """Create *topic* with three partitions. Raises KafkaException if that fails."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": servers})
    for created in admin.create_topics([NewTopic(topic, 3, 1)]).values():
        created.result(30)


def send(servers: str, topic: str, sent: Sequence[Message]) -> None:
    """Produce messages, each with its time; returns when the broker has all of them.

    Raises RuntimeError if it does not take them.
    """
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20})
    for message in sent:
        milliseconds = round(message.at.timestamp() * 1000)
        producer.produce(topic, message.value, timestamp=milliseconds)
        producer.poll(0)
    if left := producer.flush(30):
        raise RuntimeError(f"{servers} did not take {left} messages")


def main() -> None:
    """Create the topic and send the messages to it."""
    servers, topic = os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["KAFKA_TOPIC"]
    sent = messages(datetime.now(UTC))
    create_topic(servers, topic)
    send(servers, topic, sent)
    print(f"Sent {len(sent):,} messages to {topic}")


if __name__ == "__main__":
    main()
