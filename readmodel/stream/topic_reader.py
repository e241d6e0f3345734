"""Read a Kafka topic from given offsets on.

The partitions are assigned by hand: no consumer group decides who reads what, and no
offset that is stored in Kafka is ever read. A gap is an error, never a jump.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from config import Settings
from events.message_columns import StreamMessage
from readmodel.store.manifest import PartitionPosition, TopicPosition
from readmodel.stream.connection import FETCHED_KILOBYTES, client_options
from util.errors import StreamError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
    from confluent_kafka.admin import AdminClient

REFILL_MILLISECONDS: Final = 20
"""After the client has read ahead enough, until it looks whether to go on; by default a
second, in which a backlog of small messages is used up."""

REQUEST_SECONDS: Final = 5.0
"""How long a request for metadata may take."""

START_AGAIN: Final = "run update_readmodel.py kafka --restart"


class TopicReader:
    """Reads one topic: `open`, `read`, `verify`, `commit`, `close`.

    `position` is what was read so far; `key` names the topic in the manifest.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError."""
        self.topic = settings.kafka_topic
        self.key = ""
        self.position = TopicPosition("", {})
        self._servers = settings.kafka_bootstrap_servers
        self._group = settings.kafka_group_id
        self._options = client_options(settings)
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        self._ended: set[int] = set()
        self._lost: StreamError | None = None
        self._last_error = ""

    def open(self, consumed: Mapping[str, TopicPosition]) -> None:
        """Connect, and begin to read at the position of the topic in *consumed*.

        A topic that is not there is read from its beginning. Raises StreamError, also if
        the topic was created again since.
        """
        from confluent_kafka import Consumer
        from confluent_kafka.admin import AdminClient

        options = dict(self._options) | {"error_cb": self._note_error}
        self._admin = AdminClient(options)
        self.key = f"{self._cluster_id()}/{self.topic}"
        topic = self._describe()
        known = consumed.get(self.key)
        if known is not None and known.topic_id != str(topic.topic_id):
            raise StreamError(self._created_again(known.topic_id))
        self._consumer = Consumer(
            options
            | {
                "group.id": self._group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": FETCHED_KILOBYTES,
                "fetch.queue.backoff.ms": REFILL_MILLISECONDS,
            }
        )
        numbers = sorted(partition.id for partition in topic.partitions)
        self._assign(TopicPosition(str(topic.topic_id), self._starts(numbers, known)))

    def _starts(
        self, numbers: Iterable[int], known: TopicPosition | None
    ) -> dict[int, PartitionPosition]:
        """Where to begin: a partition that a known topic has got since, at 0."""
        if known is None:
            return {n: PartitionPosition(self._watermarks(n)[0]) for n in numbers}
        return {n: known.partitions.get(n, PartitionPosition(0)) for n in numbers}

    def _assign(self, position: TopicPosition) -> None:
        self.position = position
        self._ended.clear()
        self._opened.assign(self._places(position))

    def _places(self, position: TopicPosition) -> "list[TopicPartition]":
        from confluent_kafka import TopicPartition

        return [
            TopicPartition(self.topic, number, at.offset, leader_epoch=at.epoch)
            if at.epoch is not None
            else TopicPartition(self.topic, number, at.offset)
            for number, at in position.partitions.items()
        ]

    @property
    def _opened(self) -> "Consumer":
        assert self._consumer is not None, "open the reader first"
        return self._consumer

    def read(self, limit: int, seconds: float) -> list[StreamMessage]:
        """At most *limit* messages that arrive within *seconds*; moves `position` on.

        Raises StreamError if the broker cannot be reached, or has not got the next one.
        """
        from confluent_kafka import KafkaException

        if self._lost is not None:
            raise self._lost
        try:
            received = self._opened.consume(limit, seconds)
        except KafkaException as error:
            raise self._unusable(error) from error
        messages = cast(
            "list[StreamMessage]", [each for each in received if each.error() is None]
        )
        if len(messages) < len(received) or self._ended:
            self._note_all(received)
        self._advance(messages)
        if self._lost is not None and not messages:
            raise self._lost
        return messages

    def _note_all(self, received: "Iterable[Message]") -> None:
        """Note what is among *received* beside messages.

        In order: the end of a partition may follow its messages in the same call.
        """
        for message in received:
            number, fault = message.partition() or 0, message.error()
            if fault is None:
                self._ended.discard(number)
            else:
                self._note(fault, number)

    def _advance(self, messages: Iterable[StreamMessage]) -> None:
        last = {message.partition(): message for message in messages}
        if not last:
            return
        moved = {
            number: PartitionPosition(message.offset() + 1, _epoch(message))
            for number, message in last.items()
        }
        self.position = replace(
            self.position, partitions={**self.position.partitions, **moved}
        )

    def _note(self, error: "KafkaError", number: int) -> None:
        """Note the end of the partition *number*, or why it cannot be read."""
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._ended.add(number)
        elif error.code() in {
            KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
            KafkaError._LOG_TRUNCATION,  # noqa: SLF001
            KafkaError.OFFSET_OUT_OF_RANGE,
        }:
            self._lost = self._gap(number)
        elif not error.retriable():
            self._lost = StreamError(f"{self.topic} cannot be read: {error.str()}")

    def _gap(self, number: int) -> StreamError:
        """The error that names the offset that is missing, and those that are there."""
        wanted = self.position.partitions[number].offset
        first, end = self._watermarks(number)
        return StreamError(
            f"Partition {number} of {self.topic} was read up to offset {wanted}, but the "
            f"broker has the offsets from {first} up to {end}: messages were removed "
            f"before they were read, or the broker lost some. To read what is there, "
            f"{START_AGAIN}; events that are stored already are recognised by their ids"
        )

    def _created_again(self, earlier: str) -> str:
        return (
            f"The topic {self.topic} was created again since it was read (its id is no "
            f"longer {earlier}): to read the new one from its beginning, {START_AGAIN}"
        )

    @property
    def is_at_end(self) -> bool:
        """True if all messages that the broker has were read."""
        return self._ended >= self.position.partitions.keys()

    def verify(self) -> None:
        """Raise StreamError unless the topic still is the one that was opened.

        What was read before is of that topic then.
        """
        if str(self._describe().topic_id) != self.position.topic_id:
            raise StreamError(self._created_again(self.position.topic_id))

    def commit(self, position: TopicPosition) -> None:
        """Tell KAFKA_GROUP_ID's offsets to the broker, for tools that show the lag."""
        from confluent_kafka import KafkaException

        try:
            self._opened.commit(offsets=self._places(position), asynchronous=True)
        except KafkaException as error:
            self._last_error = str(error)

    def lag(self, position: TopicPosition) -> dict[int, int]:
        """Messages after *position*, by partition, as the last fetch showed."""
        from confluent_kafka import TopicPartition

        lags = {}
        for number, at in position.partitions.items():
            place = TopicPartition(self.topic, number)
            _, end = self._opened.get_watermark_offsets(place, cached=True)
            lags[number] = max(0, end - at.offset)
        return lags

    def remaining(self) -> dict[int, int]:
        """The same, asking the broker. Raises StreamError."""
        return {
            number: max(0, self._watermarks(number)[1] - at.offset)
            for number, at in self.position.partitions.items()
        }

    def close(self) -> None:
        """Disconnect. The reader may be opened again."""
        consumer, self._consumer, self._admin = self._consumer, None, None
        self._lost = None
        if consumer is not None:
            consumer.close()

    def _watermarks(self, number: int) -> tuple[int, int]:
        """The first offset of a partition, and the one after its last."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            first, end = self._opened.get_watermark_offsets(
                TopicPartition(self.topic, number), timeout=REQUEST_SECONDS
            )
        except KafkaException as error:
            raise self._unusable(error) from error
        return first, end

    def _cluster_id(self) -> str:
        assert self._admin is not None
        return str(self._request(self._admin.describe_cluster).cluster_id)

    def _describe(self) -> Any:
        from confluent_kafka import TopicCollection

        assert self._admin is not None
        describe, names = self._admin.describe_topics, TopicCollection([self.topic])

        def request(**options: float) -> Future[Any]:
            found: Future[Any] = describe(names, **options)[self.topic]
            return found

        return self._request(request)

    def _request(self, request: Any) -> Any:
        """The answer to a request for metadata."""
        from confluent_kafka import KafkaException

        try:
            return request(request_timeout=REQUEST_SECONDS).result(2 * REQUEST_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StreamError:
        from confluent_kafka import KafkaError, KafkaException

        reason = error.args[0] if isinstance(error, KafkaException) else None
        if reason is None:
            return StreamError(f"Kafka at {self._servers} does not answer")
        if reason.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return StreamError(
                f"The topic {self.topic} does not exist at {self._servers}: create it, "
                "or correct KAFKA_TOPIC"
            )
        why = self._last_error or reason.str()
        return StreamError(f"Kafka at {self._servers} cannot be used: {why}")

    def _note_error(self, error: "KafkaError") -> None:
        """Callback of the client, from any thread."""
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            if self._consumer is not None:
                self._lost = self._unusable_because(self._last_error)
        else:
            self._last_error = error.str()

    def _unusable_because(self, why: str) -> StreamError:
        return StreamError(f"Kafka at {self._servers} cannot be used: {why}")


def _epoch(message: StreamMessage) -> int | None:
    epoch = message.leader_epoch()
    return epoch if epoch is not None and epoch >= 0 else None
