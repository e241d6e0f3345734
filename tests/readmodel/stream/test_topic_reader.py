"""Reading a topic: offsets that the broker has not got, and settings."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from config import load
from readmodel.store.manifest import PartitionPosition, TopicPosition
from readmodel.stream import connection
from readmodel.stream.connection import client_options
from readmodel.stream.topic_reader import TopicReader
from tests.support.kafka import Broker, mock_cluster
from util.errors import SettingsError, StreamError

TOPIC = "events"


@pytest.fixture(scope="module")
def truncated() -> Iterator[Broker]:
    """A cluster that has removed the first messages of a partition."""
    with mock_cluster() as broker:
        broker.send(TOPIC, [b"x" * 1000] * 12_000)
        yield broker


@pytest.fixture
def reader(
    truncated: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TopicReader]:
    """A reader of it; this cluster does not tell ids."""
    topic = SimpleNamespace(topic_id="id", partitions=[SimpleNamespace(id=0)])
    monkeypatch.setattr(TopicReader, "_cluster_id", lambda _: "mock")
    monkeypatch.setattr(TopicReader, "_describe", lambda _: topic)
    reader = TopicReader(truncated.settings(TOPIC, tmp_path))
    yield reader
    reader.close()


def position(offset: int) -> dict[str, TopicPosition]:
    """What the manifest has recorded."""
    return {"mock/events": TopicPosition("id", {0: PartitionPosition(offset)})}


def read_all(reader: TopicReader) -> list[int]:
    """The offsets of the messages, up to the end."""
    offsets: list[int] = []
    while not reader.is_at_end:
        offsets += [message.offset() for message in reader.read(1000, 0.2)]
    return offsets


def test_the_end_may_come_with_the_last_messages(reader: TopicReader) -> None:
    """In one call: it is the end even so, until further messages arrive."""
    reader.open(position(11_990))
    assert [message.offset() for message in reader.read(20, 1)] == [
        *range(11_990, 12_000)
    ]
    assert reader.is_at_end


def test_a_new_topic_is_read_from_the_first_message_that_is_there(
    reader: TopicReader,
) -> None:
    """Nothing is lost that we could have known of."""
    reader.open({})
    first = reader.position.partitions[0].offset
    assert first > 0
    assert read_all(reader) == list(range(first, 12_000))
    assert reader.position.partitions[0].offset == 12_000
    assert reader.lag(reader.position) == {0: 0}
    (stored,) = position(11_990).values()
    assert reader.lag(stored) == {0: 10}  # they were read, and may not be stored yet


@pytest.mark.parametrize("offset", [10, 12_001])
def test_a_gap_names_both_offsets(reader: TopicReader, offset: int) -> None:
    """Whether the broker has removed messages, or lost the last ones."""
    reader.open(position(offset))
    with pytest.raises(StreamError) as caught:
        read_all(reader)
    message = str(caught.value)
    assert f"Partition 0 of events was read up to offset {offset}, but" in message
    assert "up to 12000" in message
    assert message.count("update_readmodel.py kafka --restart") == 1
    assert "\n" not in message


def test_the_end_is_no_gap(reader: TopicReader) -> None:
    """Everything was read."""
    reader.open(position(12_000))
    assert read_all(reader) == []


def test_a_partition_that_a_known_topic_has_got_since_is_read_from_0(
    reader: TopicReader,
) -> None:
    """Its first messages would be missing otherwise, here they are a gap."""
    reader.open({"mock/events": TopicPosition("id", {1: PartitionPosition(7)})})
    with pytest.raises(StreamError, match="up to offset 0, but"):
        read_all(reader)


KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}
LOGIN = {"KAFKA_SASL_USER": "u", "KAFKA_SASL_PASS": "p"}


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({}, "plaintext"),
        ({"KAFKA_SSL_CA": __file__}, "ssl"),
        (LOGIN, "sasl_ssl"),
        (LOGIN | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "sasl_plaintext"),
    ],
)
def test_a_password_is_sent_in_clear_text_only_if_the_settings_say_so(
    environ: dict[str, str], protocol: str
) -> None:
    """Without them TLS is used."""
    options = client_options(load(KAFKA | environ))
    assert options["security.protocol"] == protocol
    assert options.get("sasl.password") == environ.get("KAFKA_SASL_PASS")
    assert options.get("ssl.ca.location") == environ.get("KAFKA_SSL_CA")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"KAFKA_SASL_USER": "u"}, "KAFKA_SASL_PASS is missing"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USER or"),
        (LOGIN | {"KAFKA_SECURITY_PROTOCOL": "SSL"}, "SSL, which sends no password"),
        ({"KAFKA_SSL_CA": "/missing.pem"}, "KAFKA_SSL_CA names /missing.pem"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], message: str
) -> None:
    """By the names of the variables."""
    with pytest.raises(SettingsError, match=message):
        client_options(load(KAFKA | environ))


def test_a_missing_driver_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to install it."""
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"^KAFKA_BOOT.*uv sync --extra kafka$"):
        client_options(load(KAFKA))
