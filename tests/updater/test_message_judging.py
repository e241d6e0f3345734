"""Messages that other processes judge: the verdicts are the same, whatever becomes of them."""

import json
import logging
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import load
from events.message_columns import MessageColumns
from events.messages import TopicName, judge_messages
from events.rules import EventRules
from events.verdicts import Judge
from readmodel.store.manifest import PartitionPosition, TopicPosition
from readmodel.sync.spool_reader import SpooledEvents, judged_rows
from tests.events.test_verdicts import TEXTS, TIMES
from tests.support import preloaded
from tests.support.effort import examples
from tests.support.programs import ROOT, freeze
from updater import judge_pool, message_chunks, message_judging
from updater.judge_messages import JudgeRequest, encode_reply, receive_reply
from updater.judge_pool import JudgeLost, JudgePool, process_count
from updater.message_chunks import MessageChunk, PendingMessages
from updater.message_judging import MessageJudging

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
TOPIC = TopicName("octane.events", "topic-id")
WAIT_SECONDS = 60


def columns(contents: Sequence[bytes | None]) -> MessageColumns:
    """Messages of two partitions; one in three has no time."""
    numbers = range(len(contents))
    times = [None if number % 3 == 0 else 1_795_255_200_000 for number in numbers]
    return MessageColumns(
        contents, [number % 2 for number in numbers], [*numbers], times
    )


def request(contents: Sequence[bytes | None]) -> JudgeRequest:
    """A request about *contents*."""
    return JudgeRequest(TOPIC, NOW, columns(contents))


GOOD = request([b'{"id": "a", "name": "x"}', b"{", b'{"name": "y", "at": 0}'])


def judged_here(rules: EventRules, asked: JudgeRequest) -> SpooledEvents:
    """The verdicts of this process."""
    judge = Judge.by(rules)
    return judged_rows(
        judge_messages(judge, asked.messages, asked.topic, asked.received_at)
    )


def same(found: SpooledEvents, expected: SpooledEvents) -> bool:
    """True if both have the same rows."""
    return found.accepted.equals(expected.accepted) and found.rejected.equals(
        expected.rejected
    )


@pytest.fixture(scope="module", autouse=True)
def quick_starts() -> Iterator[None]:
    """Start the processes in a tenth of the time."""
    with preloaded.used_by(judge_pool):
        yield


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Sequence[EventRules]:
    """Without any setting, and with all that a verdict depends on."""
    folder = tmp_path_factory.mktemp("schemas")
    schema = {"properties": {"a": {"type": "integer"}}}
    (folder / "x.json").write_text(json.dumps(schema))
    strict = {
        "EVENT_SCHEMAS_DIR": str(folder),
        "EVENT_TYPES": "y, z",
        "EVENT_MAX_AGE_DAYS": "3",
        "USER_ID_KEY": "secret",
        "USER_ID_EPOCH": "month",
    }
    found = [EventRules.of(load(each)) for each in ({}, strict)]
    (folder / "x.json").unlink()  # The rules are those of the updater's start.
    return found


@contextmanager
def pool_of(rules: EventRules, processes: int = 1) -> Iterator[JudgePool]:
    """Some processes, until the end of the block."""
    with closing(JudgePool(rules, processes)) as pool:
        yield pool


@pytest.fixture(scope="module")
def pools(rules: Sequence[EventRules]) -> Iterator[Sequence[JudgePool]]:
    """A process for each of the *rules*."""
    with pool_of(rules[0]) as lenient, pool_of(rules[1]) as strict:
        yield [lenient, strict]


VALUES = st.sampled_from([None, *TEXTS, *TIMES, {"a": 1}, {"a": "1"}])
NAMES = ("id", "event_id", "name", "type", "user_id", "at", "sentAt", "properties", "o")
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
NAMED = st.builds(
    lambda event, name: event | {"name": name}, OBJECTS, st.sampled_from("xyq")
)
CONTENTS = st.one_of(
    st.sampled_from([None, b"", b"null", b"[]", b"{", b"\xff", rb'{"name":"\ud800"}']),
    (OBJECTS | NAMED).map(lambda event: json.dumps(event).encode()),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(CONTENTS, min_size=1, max_size=8), st.sampled_from([0, 1]))
def test_another_process_comes_to_the_same_verdicts(
    rules: Sequence[EventRules],
    pools: Sequence[JudgePool],
    contents: list[bytes | None],
    number: int,
) -> None:
    """In the same rows, whatever the settings demand."""
    asked = request(contents)
    found = pools[number].submit(asked).result(WAIT_SECONDS)
    assert same(found, judged_here(rules[number], asked))


def first_pid(pool: JudgePool) -> int:
    """The only process; it runs after an answer."""
    pool.submit(GOOD).result(WAIT_SECONDS)
    (pid,) = pool.pids
    return pid


def lost(answer: Future[SpooledEvents]) -> str:
    """Why there is no answer."""
    with pytest.raises(JudgeLost) as caught:
        answer.result(WAIT_SECONDS)
    return str(caught.value)


def test_a_process_that_is_killed_is_replaced(
    rules: Sequence[EventRules],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for it is told, and the log says so once."""
    asked = threading.Event()

    def receive(*arguments: Any) -> SpooledEvents:
        asked.set()
        return receive_reply(*arguments)

    with caplog.at_level(logging.WARNING, logger="fpp"), pool_of(rules[0]) as pool:
        pid = first_pid(pool)
        monkeypatch.setattr(judge_pool, "receive_reply", receive)
        freeze(pid)
        answer = pool.submit(GOOD)
        assert asked.wait(WAIT_SECONDS)
        os.kill(pid, signal.SIGKILL)
        assert lost(answer) == "was ended by SIGKILL"
        assert first_pid(pool) != pid
    (message,) = [record.message for record in caplog.records]
    assert "A process that judges messages was ended by SIGKILL" in message


def test_a_process_that_hangs_is_ended(
    rules: Sequence[EventRules], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, and its successor answers."""
    with pool_of(rules[0]) as pool:
        pid = first_pid(pool)
        monkeypatch.setattr(judge_pool, "ANSWER_SECONDS", 0.05)
        freeze(pid)
        assert lost(pool.submit(GOOD)) == "has not answered for 0.05 s"
        monkeypatch.undo()
        assert same(pool.submit(GOOD).result(WAIT_SECONDS), judged_here(rules[0], GOOD))


def program(text: str) -> tuple[str, str, str]:
    """A Python program in place of a process that judges; it has read both requests."""
    beginning = (
        "import os, socket, sys\n"
        "from updater.judge_messages import *\n"
        "c = socket.socket(fileno=0); receive_request(c); r = receive_request(c)\n"
    )
    return (sys.executable, "-c", beginning + text)


NONSENSE: dict[str, tuple[tuple[str, ...], str]] = {
    "another program": (
        program("c.sendall(b'HTTP/1.1 400 Bad Request' * 9)"),
        "does not begin as one",
    ),
    "a flipped bit": (
        program(
            "reply = bytearray(b''.join(encode_reply(SpooledEvents.empty())))\n"
            "reply[-100] ^= 1\n"
            "c.sendall(reply)"
        ),
        "is damaged",
    ),
    "fewer rows": (
        program("send(c, encode_reply(SpooledEvents.empty()))"),
        "is not about these messages",
    ),
    "other columns": (
        program(
            "rows = pl.DataFrame({'a': [1] * 3})\n"
            "send(c, encode_reply(SpooledEvents(rows, rows)))"
        ),
        "is not about these messages",
    ),
    "no tables": (
        program(
            "import zlib\nb = bytes(99)\n"
            "c.sendall(struct.pack('!4sQQI', b'FPPJ', 50, 49, zlib.crc32(b)) + b)"
        ),
        "has answered nonsense",
    ),
    "a part of a reply": (
        program("c.sendall(b'FPPJ')\nos._exit(3)"),
        "has ended with exit code 3",
    ),
    "a program that leaves": (program("os._exit(0)"), "has left at once"),
    "no program": (("/missing",), "cannot be started"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_process_that_answers_nonsense_is_ended(
    rules: Sequence[EventRules], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nothing of its reply is used."""
    command, reason = NONSENSE[kind]
    monkeypatch.setattr(judge_pool, "_COMMAND", command)
    with pool_of(rules[0]) as pool:
        assert reason in lost(pool.submit(GOOD))
        assert pool.pids == []


def test_processes_that_fail_again_and_again_are_given_up(
    rules: Sequence[EventRules],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The updater judges alone for a while, and the log is not filled."""
    monkeypatch.setattr(judge_pool, "_COMMAND", ("/missing",))
    with caplog.at_level(logging.WARNING, logger="fpp"), pool_of(rules[0], 2) as pool:
        for answer in [pool.submit(GOOD) for _ in range(9)]:
            lost(answer)
        assert pool.is_broken
    assert len(caplog.records) == judge_pool.MOST_LOSSES


def test_a_process_without_work_leaves_and_another_one_comes(
    rules: Sequence[EventRules],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """So a quiet updater keeps its memory; nobody has to be told."""
    impatient = "import updater.judge_worker as w; w.IDLE_SECONDS = 0.05; w.main()"
    monkeypatch.setattr(judge_pool, "_COMMAND", (sys.executable, "-c", impatient))
    with caplog.at_level(logging.WARNING, logger="fpp"), pool_of(rules[0]) as pool:
        pid = first_pid(pool)
        (judge,) = pool._judges
        assert judge._process
        assert judge._process.wait(WAIT_SECONDS) == 0
        assert pool.pids == []
        assert first_pid(pool) != pid
    assert not caplog.records


def test_a_process_that_leaves_while_it_is_asked_is_no_failure(
    rules: Sequence[EventRules],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its successor answers."""
    answers_once = program(
        f"send(c, {encode_reply(judged_here(rules[0], GOOD))!r}); receive_request(c)"
    )
    monkeypatch.setattr(judge_pool, "_COMMAND", answers_once)
    with caplog.at_level(logging.WARNING, logger="fpp"), pool_of(rules[0]) as pool:
        pid = first_pid(pool)
        assert first_pid(pool) != pid
    assert not caplog.records


def test_a_pool_that_is_closed_ends_a_process_that_hangs(
    rules: Sequence[EventRules],
) -> None:
    """At once, and with it the wait for its answer."""
    with pool_of(rules[0]) as pool:
        process = os.pidfd_open(first_pid(pool))
        freeze(first_pid(pool))
        answers = [pool.submit(GOOD) for _ in range(3)]
    assert ended(process)
    assert all(answer.cancelled() or lost(answer) for answer in answers)


def ended(process: int) -> bool:
    """True once the process of a descriptor has ended."""
    readable, _, _ = select.select([process], [], [], WAIT_SECONDS)
    os.close(process)
    return bool(readable)


def test_processes_end_with_the_one_that_started_them(
    rules: Sequence[EventRules],
) -> None:
    """Even if that is killed while they judge."""
    text = (
        "import pickle, sys, time\n"
        "from updater.judge_pool import JudgePool\n"
        "rules, asked = pickle.load(sys.stdin.buffer)\n"
        "pool = JudgePool(rules, 2)\n"
        "[each.result() for each in [pool.submit(asked) for _ in range(9)]]\n"
        "print(*pool.pids, flush=True)\n"
        "while True: pool.submit(asked); time.sleep(0.001)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as starter:
        assert starter.stdin
        assert starter.stdout
        starter.stdin.write(pickle.dumps((rules[0], GOOD)))
        starter.stdin.close()
        processes = [
            os.pidfd_open(int(pid)) for pid in starter.stdout.readline().split()
        ]
        starter.kill()
    assert processes
    assert all(map(ended, processes))


@pytest.mark.parametrize(("processors", "processes"), [(1, 0), (2, 2), (64, 2)])
def test_a_single_processor_has_no_other_processes(
    monkeypatch: pytest.MonkeyPatch, processors: int, processes: int
) -> None:
    """They would only take turns."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert process_count() == processes


class Message:
    """Stands in for a message of the client."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        """Bytes of the content."""
        return len(self._content)

    def value(self) -> bytes | None:
        """The content."""
        return self._content

    def partition(self) -> int:
        """Always the same."""
        return 0

    def offset(self) -> int:
        """The number that is the content."""
        return int(self._content)

    def timestamp(self) -> tuple[int, int]:
        """Unknown."""
        return (0, -1)

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        """None."""
        return None

    def leader_epoch(self) -> int | None:
        """Unknown."""
        return None


def at(offset: int) -> TopicPosition:
    """The position before the message with *offset*."""
    return TopicPosition("topic-id", {0: PartitionPosition(offset)})


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 3 messages or 12 bytes, snapshots of 7 or 30, 40 bytes in all."""
    for name, value in (
        *(("CHUNK_MESSAGES", 3), ("CHUNK_BYTES", 12), ("MAX_MESSAGES", 7)),
        *(("STORED_BYTES", 30), ("MAX_BYTES", 40), ("AHEAD_MESSAGES", 4)),
    ):
        monkeypatch.setattr(message_chunks, name, value)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=30),
    st.booleans(),
)
@pytest.mark.usefixtures("small_bounds")
def test_messages_are_stored_in_order_and_within_the_bounds(
    steps: list[tuple[int, bool, bool]], handed_out: bool
) -> None:
    """Whenever they are taken, each once, with the position after them."""
    pending, offset, stored = PendingMessages(), 0, 0
    for count, is_taken, everything in steps:
        if pending.is_full:
            assert pending
        elif count:
            read = [Message(b"%d" % number) for number in range(offset, offset + count)]
            read = read[: pending.room]
            offset += len(read)
            chunk = pending.add(read, at(offset))
            assert chunk is None or len(chunk.messages) <= 3
            if chunk and handed_out:
                chunk.answer = Future()
        was_full, waiting = pending.is_full, len(pending)
        assert waiting == offset - stored <= 7 + 4 * handed_out + 2
        if is_taken:
            chunks = pending.take(at(offset), all_of_them=everything)
            taken = [number for each in chunks for number in each.messages.offsets]
            assert taken == [*range(stored, stored + len(taken))]
            assert bool(taken) == bool(waiting)
            assert not chunks or chunks[-1].end == at(stored + len(taken))
            if was_full and not everything:
                assert len(taken) <= 7
                assert len(chunks) == 1 or sum(each.size for each in chunks) <= 30
            else:
                assert len(taken) == waiting
            pending.remove(chunks)
            stored += len(taken)


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessageJudging]:
    """Two processors, whatever there are."""
    monkeypatch.setattr(message_judging, "process_count", lambda: 2)
    with closing(MessageJudging(load({}), lambda: None)) as found:
        yield found


def chunk_of(number: int) -> MessageChunk:
    """A chunk with one event."""
    event = json.dumps({"id": f"e{number}", "name": "x"}).encode()
    return MessageChunk(columns([event]), at(number + 1), len(event), ())


def test_only_a_long_backlog_is_judged_by_other_processes(
    judging: MessageJudging,
) -> None:
    """They are used until less than a chunk is behind."""
    lags = {100_000: False, 250_000: True, 20_000: True, 9_999: False, 10_000: True}
    for number, (lag, is_handed_out) in enumerate(lags.items()):
        chunk = chunk_of(number)
        judging.hand_out(chunk, TOPIC, lag, NOW)
        assert (chunk.answer is not None) == is_handed_out, lag
        rows = judging.rows(chunk, TOPIC, NOW).accepted
        assert rows["event_id"].to_list() == [f"e{number}"]


def test_the_log_says_once_that_other_processes_judge(
    judging: MessageJudging, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while they start."""
    chunks = [chunk_of(number) for number in range(5)]
    with caplog.at_level(logging.INFO, logger="fpp"):
        for chunk in chunks:
            judging.hand_out(chunk, TOPIC, 250_000, NOW)
        for chunk in chunks:
            judging.rows(chunk, TOPIC, NOW)
    (message,) = [record.message for record in caplog.records]
    assert message == "250,000 messages wait: other processes judge them"


def test_a_single_processor_judges_everything_itself(
    judging: MessageJudging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nobody else."""
    monkeypatch.setattr(message_judging, "process_count", lambda: 0)
    chunk = chunk_of(1)
    judging.hand_out(chunk, TOPIC, 10**9, NOW)
    assert chunk.answer is None


def test_what_a_process_has_not_answered_is_judged_here(
    judging: MessageJudging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the instant at which it was read; other processes are tried after a while."""
    monkeypatch.setattr(judge_pool, "_COMMAND", ("/missing",))
    chunks = [chunk_of(number) for number in range(5)]
    for chunk in chunks:
        judging.hand_out(chunk, TOPIC, 10**9, NOW)
    later = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
    rows = pl.concat(judging.rows(chunk, TOPIC, later).accepted for chunk in chunks)
    assert rows["event_id"].to_list() == ["e0", "e1", "e2", "e3", "e4"]
    assert rows["received_at"].unique().to_list() == [NOW]
    chunk = chunk_of(5)
    judging.hand_out(chunk, TOPIC, 10**9, NOW)
    assert chunk.answer is None
    monkeypatch.setattr(message_judging, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(judging, "_try_at", 0.0)
    judging.hand_out(chunk, TOPIC, 10**9, NOW)
    assert chunk.answer is not None


def test_what_no_process_has_begun_with_is_judged_here(
    judging: MessageJudging,
) -> None:
    """When they were given up or ended meanwhile."""
    chunks = [chunk_of(number) for number in range(9)]
    for chunk in chunks[:8]:
        judging.hand_out(chunk, TOPIC, 10**9, NOW)
    judging.close()
    chunks[8].answer = Future()
    assert chunks[8].answer.cancel()
    rows = pl.concat(judging.rows(chunk, TOPIC, NOW).accepted for chunk in chunks)
    assert rows["event_id"].to_list() == [f"e{number}" for number in range(9)]
