"""Reading lines of the spool: the quick way and the thorough one find the same."""

import gc
import json
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from config import load
from events.column_lines import ColumnLine, decode_columns
from events.lines import TRACEPARENT, encode_lines
from events.verdicts import BatchContext, EventPlace, Judge, Judged
from readmodel.sync import spool_reader
from readmodel.sync.spool_reader import read_spool
from tests.support.effort import examples
from tests.support.events import AT, line, rejected_line

VALUES: st.SearchStrategy[object] = (
    st.none() | st.integers(-(2**70), 2**70) | st.text(max_size=3) | st.just({})
)
KEYS = st.sampled_from(
    [*line("e"), "app_id", "source", "sent_at", "code", "traceparent", "raw", "other"]
)


@st.composite
def spool_lines(draw: st.DrawFn) -> str:
    """A line as the collector writes it, or with keys that are other or missing."""
    made: dict[str, Any] = draw(
        st.sampled_from(
            [line("e1"), line("e2", 5, source='“"code":'), rejected_line("r")]
        )
    )
    changed = {**made, **draw(st.dictionaries(KEYS, VALUES, max_size=1))}
    for missing in draw(st.lists(KEYS, max_size=1)):
        changed.pop(missing, None)
    return json.dumps(changed, ensure_ascii=draw(st.booleans()))


def broken(text: str) -> st.SearchStrategy[str]:
    """*text*, cut off or with blank lines."""
    return st.sampled_from([text, text, text, text[:-1], text[:-9], f"\n{text}"])


@settings(max_examples=examples(80))
@given(st.lists(spool_lines().flatmap(broken), max_size=4))
def test_lines_of_accepted_events_are_read_as_all_lines_are(lines: list[str]) -> None:
    """Without the columns of dead letters, if there surely are none."""
    content = "".join(f"{each}\n" for each in lines).encode()
    found = spool_reader._parse_accepted(content)
    if found is not None:
        thorough = spool_reader._parse(content)
        assert thorough is not None
        assert thorough["code"].null_count() == len(thorough)
        assert_frame_equal(found, thorough.select(found.columns))


def test_files_of_accepted_events_are_read_the_quick_way() -> None:
    """Also with a text that looks like the key of a dead letter."""
    texts = [line("e1", properties='{"code":1}'), line("e2", source='"code":')]
    content = "".join(f"{json.dumps(each)}\n" for each in texts).encode()
    assert spool_reader._parse_accepted(content) is not None
    mixed = content + json.dumps(rejected_line("r1")).encode() + b"\n"
    assert spool_reader._parse_accepted(mixed) is None
    found = read_spool([("file.v1.jsonl", mixed)])
    assert found.accepted["event_id"].to_list() == ["e1", "e2"]
    assert found.rejected["rejection_id"].to_list() == ["r1"]


JUDGE = Judge.of(load({}))
RECEIVED = 1_795_255_200_000_000

SENT = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "", 5])},
    optional={
        "id": st.sampled_from(["e1", "e2", 'ä\n"', 7]),
        "user_id": st.sampled_from(["u1", "u2", None, ["u"]]),
        "ts": st.sampled_from([RECEIVED // 10**6, RECEIVED // 10**6 - 5, "never"]),
        "app_id": st.sampled_from(["web", "app"]),
        "sent_at": st.just(RECEIVED // 10**6),
        "properties": st.dictionaries(
            st.text(max_size=3), st.integers(0, 2), max_size=2
        ),
    },
)
REQUEST = st.tuples(
    st.lists(SENT | st.just(1), min_size=1, max_size=5), st.booleans(), st.booleans()
)


def judged(sent: list[Any], batch: str) -> Judged:
    """The verdicts on a request."""
    context = BatchContext("token-1", None, AT, RECEIVED)
    places = [EventPlace(batch, RECEIVED, f"{batch}:{n}") for n in range(len(sent))]
    return JUDGE.judge_all(sent, places, context)


def by_lines(request: Judged, parent: str | None) -> bytes:
    """The lines that earlier versions wrote for a request."""
    first, *others = request.lines()
    traced = first if parent is None else {**first, TRACEPARENT: parent}
    return encode_lines([traced, *others])


@settings(max_examples=examples(60))
@given(st.lists(REQUEST, max_size=5))
def test_both_formats_give_the_same_rows(
    requests: list[tuple[Any, bool, bool]],
) -> None:
    """Events, dead letters and traces; also of files of both formats in turn."""
    old, new, mixed = [], [], []
    for number, (sent, is_traced, is_old) in enumerate(requests):
        request = judged(sent, f"b{number}")
        parent = f"trace-{number}" if is_traced else None
        old.append((f"a.{number}.v1.jsonl", by_lines(request, parent)))
        new.append((f"a.{number}.v2.jsonl", request.encode(parent)))
        mixed.append((old if is_old else new)[-1])
    wanted = read_spool(old)
    for files in (new, mixed):
        found = read_spool(files)
        assert_frame_equal(found.accepted, wanted.accepted)
        assert_frame_equal(found.rejected, wanted.rejected)
        assert sorted(found.traceparents) == sorted(wanted.traceparents)
    assert len(wanted.accepted) + len(wanted.rejected) == sum(
        len(s) for s, *_ in requests
    )


def request_of(*ids: str) -> bytes:
    """The line of a request with events that have these ids."""
    return judged([{"name": "a", "id": each} for each in ids], "b1").encode()


@pytest.mark.parametrize("damage", ["changed", "cut off", "no JSON", "line end"])
def test_a_damaged_line_by_columns_is_one_dead_letter(damage: str) -> None:
    """It has the text, and how many events are lost; the others are read."""
    whole = request_of("e2", "e3", "e4")
    broken = {
        "changed": whole.replace(b'"e3"', b'"e9"'),
        "cut off": whole[:-20],
        "line end": whole.replace(b'"e3"', b'"e\r"'),
        "no JSON": whole[:20] + b"}{" + whole[22:],
    }[damage]
    content = request_of("e1", "e0") + broken.rstrip() + b"\n" + request_of("e5")
    found = read_spool([("a.1.v2.jsonl", content)])
    assert found.accepted["event_id"].to_list() == ["e1", "e0", "e5"]
    (letter,) = found.rejected.to_dicts()
    assert letter["code"] == "unreadable"
    assert letter["message"] == "line 2 of a.1.v2.jsonl, with 3 events, is damaged"
    assert letter["rejection_id"] == "a.1.v2.jsonl:2:unreadable"
    assert letter["raw"].strip() == broken.decode().strip()
    assert (letter["received_at"] == AT) == (damage == "changed")


def test_the_garbage_collector_does_not_look_through_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It looks through all of them again and again, a fifth of the work."""
    paused = []

    def decode(line: bytes) -> ColumnLine | None:
        paused.append(not gc.isenabled())
        return decode_columns(line)

    monkeypatch.setattr(spool_reader, "decode_columns", decode)
    read_spool([("a.1.v2.jsonl", request_of("e1"))])
    assert paused == [True]
    assert gc.isenabled()


def checked(members: dict[str, Any], count: int = 2) -> bytes:
    """A line by columns with these members and the checksum of them."""
    content = orjson.dumps(members)[1:]
    return b'{"events":%d,"crc32":%d,%b\n' % (count, zlib.crc32(content), content)


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_id": ["e1", 5]},
        {"event_id": ["e1", None]},
        {"event_id": 1.5},
        {"at": ["now", "then"]},
        {"at": [1, 2**63]},
        {"name": {"a": 1}},
        {"name": None},
        {"properties": ["{}", "{}", "{}"]},
        {"properties": []},
        {"traceparent": 5, "at": "now"},
    ],
)
def test_values_of_other_types_are_a_dead_letter(wrong: dict[str, Any]) -> None:
    """Nobody writes them, but they must not hold back the others."""
    right = {**line("e1"), "event_id": ["e1", "e2"]}
    content = checked(right) + checked(right | wrong) + request_of("e5")
    found = read_spool([("a.1.v2.jsonl", content)])
    assert found.accepted["event_id"].to_list() == ["e1", "e2", "e5"]
    assert found.rejected["rejection_id"].to_list() == ["a.1.v2.jsonl:2:unreadable"]


def test_large_spools_are_read_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the files."""
    monkeypatch.setattr(spool_reader, "GROUP_BYTES", 300)
    files = [(f"a.{n}.v{n % 2 + 1}.jsonl", request_of(f"e{n}")) for n in range(20)]
    files = [
        (name, by_lines(judged([{"name": "a", "id": f"e{n}"}], "b1"), None))
        if name.endswith("v1.jsonl")
        else (name, content)
        for n, (name, content) in enumerate(files)
    ]
    found = read_spool(files)
    assert found.accepted["event_id"].to_list() == [f"e{n}" for n in range(20)]
