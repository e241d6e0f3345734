"""How far Kafka was read, for `kafka`, `status` and `doctor`."""

from collections.abc import Iterator
from datetime import UTC, datetime

from config import Settings
from util.errors import FppError, SettingsError
from util.json_types import JsonObject


def lag(settings: Settings) -> dict[int, int]:
    """Messages of each partition that are not in the read model, by the broker.

    Raises SettingsError, StorageError and StreamError.
    """
    # Imported here, since a deployment without Kafka needs none of it.
    from readmodel.stream.topic_reader import TopicReader
    from readmodel.sync.stream_drain import consumed_in

    reader = TopicReader(settings)
    try:
        reader.open(consumed_in(settings.data_dir).kafka)
        return reader.remaining()
    finally:
        reader.close()


def lines(settings: Settings) -> Iterator[str]:
    """Describe the position in the topic; nothing without Kafka. Raises StorageError."""
    if settings.kafka_bootstrap_servers is None:
        return
    from readmodel.sync.stream_drain import consumed_in

    topic = settings.kafka_topic
    try:
        lags = lag(settings)
    except FppError as error:
        yield f"{topic} of Kafka cannot be read: {error}"
    else:
        yield (
            f"{topic} of Kafka: {sum(lags.values()):,} messages to read in "
            f"{len(lags)} partitions"
        )
    for key, position in consumed_in(settings.data_dir).kafka.items():
        for number, at in position.partitions.items():
            yield f"  {key} partition {number}: read up to offset {at.offset:,}"


def as_json(settings: Settings) -> JsonObject:
    """The lag by partition, or why it is unknown, as ``kafka``; nothing without Kafka."""
    if settings.kafka_bootstrap_servers is None:
        return {}
    shown: JsonObject = {"topic": settings.kafka_topic, "lag": None, "error": None}
    try:
        shown["lag"] = lag(settings)
    except FppError as error:
        shown["error"] = str(error)
    return {"kafka": shown}


def restart(settings: Settings) -> Iterator[str]:
    """Have the topic read again from its beginning; say what was done.

    Raises SettingsError without Kafka, SyncRunning and StorageError.
    """
    from readmodel.sync.stream_drain import forget_positions

    if settings.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is missing")
    topic = settings.kafka_topic
    removed = forget_positions(settings.data_dir, topic, datetime.now(UTC))
    for key in removed:
        yield f"{key} will be read from its beginning"
    if not removed:
        yield f"{topic} was never read"
