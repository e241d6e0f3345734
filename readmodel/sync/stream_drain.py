"""Take events from Kafka into the read model, each message exactly once.

Rows and the offsets after them become visible by one rename. No other offset is read.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from readmodel.store.manifest import Consumed, TopicPosition
from readmodel.sync.carry_over import LastSnapshot, last_snapshot
from readmodel.sync.event_publish import (
    DrainReport,
    has_plain_files,
    publish_events,
)
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.spool_reader import SpooledEvents
from util.errors import StorageError


class PositionMoved(Exception):
    """The recorded position is another one: read again from there."""


def consumed_in(data_dir: Path) -> Consumed:
    """What the current snapshot has consumed. Raises StorageError if it is damaged."""
    return _consumed(last_snapshot(data_dir))


def store_messages(
    data_dir: Path,
    key: str,
    start: TopicPosition | None,
    end: TopicPosition,
    events: SpooledEvents,
    now: datetime,
) -> DrainReport:
    """Add the *events* of the messages of the topic *key* up to *end*.

    *start* is the position that was recorded when they were read, None without one.
    Raises PositionMoved if another one is recorded now: another updater may have stored
    them. Raises SyncRunning if another process writes there, and StorageError. In all of
    these cases nothing is stored.
    """
    with exclusive_lock(data_dir):
        last = last_snapshot(data_dir)
        if last is None and has_plain_files(data_dir):
            raise StorageError("Events are taken from Kafka after the first sync")
        consumed = _consumed(last)
        if consumed.kafka.get(key) != start:
            raise PositionMoved
        moved = replace(consumed, kafka={**consumed.kafka, key: end})
        return publish_events(data_dir, last, events, moved, now)


def forget_positions(data_dir: Path, topic: str, now: datetime) -> tuple[str, ...]:
    """Let *topic* be read from its beginning; returns the keys that were removed.

    Raises SyncRunning and StorageError.
    """
    with exclusive_lock(data_dir):
        last = last_snapshot(data_dir)
        consumed = _consumed(last)
        kept = {
            key: position
            for key, position in consumed.kafka.items()
            if key.partition("/")[2] != topic
        }
        removed = tuple(consumed.kafka.keys() - kept.keys())
        if removed:
            nothing = SpooledEvents.empty()
            publish_events(data_dir, last, nothing, replace(consumed, kafka=kept), now)
        return removed


def _consumed(last: LastSnapshot | None) -> Consumed:
    return (last.manifest.consumed if last else None) or Consumed()
