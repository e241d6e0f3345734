"""The verdicts on many events at once are those on each of them."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config import load
from events import fields, verdicts
from events.instants import microseconds
from events.json_text import parse_json
from events.verdicts import BatchContext, EventPlace, Judge

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
RECEIVED = microseconds(NOW)

TIMES: tuple[Any, ...] = (
    *("2026-11-21T09:59:58.123Z", "2026-11-21T09:59:58.123456+00:00", "2026-11-21"),
    *("2026-11-21T10:59:58+01:00", "2026-11-21 09:59:58", "2026-11-21t09:59:58z"),
    *("2024-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "", "soon", "2026-11-31"),
    *(
        RECEIVED // 1_000,
        RECEIVED / 1e6,
        0,
        -1,
        1e300,
        True,
        [],
        "0001-01-01T00:00+14:00",
    ),
)
TEXTS: tuple[Any, ...] = (
    "a",
    "",
    "ä\u2028",
    "x" * 200,
    "x" * 201,
    7,
    10**30,
    1.5,
    True,
    [],
    "\ud800",
)
OBJECTS: tuple[Any, ...] = (
    *({}, {"a": None}, {"a": [1, "ü", -0.0, 1e16, 5e-324]}, {"a": "x" * 40_000}, []),
    *({"a": 10**30}, {"\ud800": 1}, {"a": float("inf")}, "text", 2**64 - 1),
)
VALUES = {
    fields.AT: TIMES,
    fields.SENT_AT: TIMES,
    fields.PROPERTIES: OBJECTS,
}
GROUPS = (
    *(fields.ID, fields.NAME, fields.USER_ID, fields.AT, fields.APP_ID),
    *(fields.SOURCE, fields.SENT_AT, fields.PROPERTIES),
)


def one_field(group: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the names of a field, each with a value or null."""
    values = st.sampled_from([None, *VALUES.get(group, TEXTS)])
    return st.dictionaries(st.sampled_from(group), values, max_size=2)


@st.composite
def events(draw: st.DrawFn) -> Any:
    """An event, seldom a good one."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, [], "x", 1]))
    event: dict[str, Any] = draw(st.sampled_from([{}, {"name": "a"}, {"other": 1}]))
    for group in GROUPS:
        event = event | draw(one_field(group))
    return event


@cache
def judge_of(settings: tuple[tuple[str, str], ...]) -> Judge:
    """The judge that these settings demand."""
    return Judge.of(load(dict(settings)))


LISTS: tuple[Any, ...] = ({"a": [{"b": 1}, {"c": "},{"}]}, {}, {"},{": 1})
GOOD = {"id": "e1", "name": "a", "at": TIMES[0], "properties": {"a": 1}}


def same(
    sent: list[Any], settings: dict[str, str], sent_at: Any, user: str | None
) -> None:
    """Both ways come to the same verdicts."""
    judge = judge_of(tuple(settings.items()))
    batch = BatchContext("token-1", user, NOW, RECEIVED, sent_at)
    places = [
        EventPlace("b", RECEIVED, None if n % 2 else f"f{n}") for n in range(len(sent))
    ]
    with patch.object(verdicts, "new_id", lambda _: "new"):
        at_once = judge.judge_all(sent, places, batch).lines()
        one_by_one = [
            judge.judge(event, place, batch)
            for event, place in zip(sent, places, strict=True)
        ]
    assert [dict(line) for line in at_once] == [dict(line) for line in one_by_one]


@given(
    st.lists(events() | st.just(GOOD), max_size=6),
    st.sampled_from(
        [{}, {"USER_ID_KEY": "k", "USER_ID_EPOCH": "day"}, {"EVENT_TYPES": "a"}]
    ),
    st.sampled_from([None, *TIMES]),
    st.sampled_from([None, "u1"]),
)
@example([GOOD | {"at": 1e400}], {}, None, None)
@example([GOOD, GOOD | {"name": "},{"}, GOOD], {}, None, None)
@example([GOOD | {"properties": each} for each in LISTS], {}, None, None)
@example([GOOD | {"id": each} for each in (1, True)], {}, None, None)
@example([GOOD | {"id": 1}, GOOD | {"id": 1}], {}, None, None)
@example(
    [GOOD, GOOD | {"at": None}, GOOD | {"properties": {"a": float("inf")}}],
    {},
    None,
    None,
)
def test_they_are_the_same(
    sent: list[Any], settings: dict[str, str], sent_at: Any, user: str | None
) -> None:
    """For any mixture of good, odd and bad events, with any settings."""
    same(sent, settings, sent_at, user)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=4)
)
def test_any_json_is_stored_as_before(properties: list[dict[str, Any]]) -> None:
    """The text of the properties is compared with stored ones, so it must not change."""
    body = json.dumps([GOOD | {"properties": each} for each in properties]).encode()
    try:
        sent = parse_json(body)
    except ValueError:
        return
    same(sent, {}, None, None)


def test_schemas_are_checked_in_both_ways(tmp_path: Path) -> None:
    """Each event by the schema of its own name."""
    (tmp_path / "a.json").write_text('{"required": ["a"]}')
    sent = [GOOD, GOOD | {"properties": {}}, GOOD | {"name": "b"}, GOOD]
    same(sent, {"EVENT_SCHEMAS_DIR": str(tmp_path)}, None, None)


@pytest.mark.parametrize("odd", [0, 3, 6])
def test_one_bad_event_is_singled_out(odd: int) -> None:
    """The others are accepted as if it were not there."""
    judge = Judge.of(load({}))
    sent: list[Any] = [GOOD | {"id": f"e{number}"} for number in range(7)]
    sent[odd] = {**sent[odd], "name": ""}
    batch = BatchContext("token-1", None, NOW, RECEIVED)
    lines = judge.judge_all(sent, [EventPlace("b", RECEIVED)] * 7, batch).lines()
    assert [line["event_id"] for line in lines] == [f"e{number}" for number in range(7)]
    assert [number for number, line in enumerate(lines) if "code" in line] == [odd]


def test_shapes_are_few_whatever_clients_send() -> None:
    """A client that makes up names of fields does not fill the memory."""
    judge = Judge.of(load({}))
    batch = BatchContext("token-1", None, NOW, RECEIVED)
    with patch.object(verdicts, "MAX_SHAPES", 10):
        for number in range(50):
            sent = [{"name": "a", f"field-{number}": 1}]
            judge.judge_all(sent, [EventPlace("b", RECEIVED)], batch)
            assert len(judge._shapes) <= 10
