"""Lines by columns: the same events as one by one, and damage is noticed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from events.accepted import COLUMNS, AcceptedEvents
from events.column_lines import (
    MOST_EVENTS,
    MOST_PROPERTIES,
    decode_columns,
    stated_count,
)
from events.lines import RAW_CHARACTERS
from tests.support.events import events_of

texts = st.text() | st.sampled_from(["},{", "}\n{", "\\", '"', "\r\x85\u2028"])
numbers = st.integers(-(2**63), 2**63 - 1)
columns: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("event_id", "name", "properties", "batch"), texts),
    **dict.fromkeys(("app_id", "user_id", "source"), st.none() | texts),
    **dict.fromkeys(("at", "content_hash"), numbers),
    "sent_at": st.none() | numbers,
}


def events_with(text: str, count: int = 2) -> AcceptedEvents:
    """Some events of which all texts are *text*."""
    found: dict[str, Any] = {name: [text] * count for name in COLUMNS}
    numbers = {key: list(range(count)) for key in ("at", "sent_at", "content_hash")}
    return replace(AcceptedEvents(1, text), **found | numbers)


@st.composite
def accepted_events(draw: st.DrawFn) -> AcceptedEvents:
    """Some events; each column has one value, or others."""
    count = draw(st.integers(0, 4))
    found: dict[str, Any] = {}
    for name in COLUMNS:
        is_equal = draw(st.booleans())
        size = min(count, 1) if is_equal else count
        column = draw(st.lists(columns[name], min_size=size, max_size=size))
        found[name] = column * count if is_equal else column
    return replace(AcceptedEvents(draw(numbers), draw(texts)), **found)


def without_nulls(event: Mapping[str, Any]) -> dict[str, Any]:
    """A key that is absent is null."""
    return {key: value for key, value in event.items() if value is not None}


def decoded(content: bytes) -> list[dict[str, Any]]:
    """The events of all lines, by what the product reads."""
    found = []
    for each in content.splitlines(keepends=True):
        line = decode_columns(each)
        assert line is not None
        assert line.columns["events"] == line.size
        found += events_of(dict(line.columns))
    return found


@given(accepted_events())
@example(events_with("},{"))
def test_lines_have_the_values_of_each_event(events: AcceptedEvents) -> None:
    """As JSON, and as they are decoded; whatever the texts contain."""
    wanted = list(map(without_nulls, events.lines()))
    content = events.encode()
    parsed = [
        each for row in content.splitlines() for each in events_of(json.loads(row))
    ]
    assert list(map(without_nulls, parsed)) == wanted
    assert list(map(without_nulls, decoded(content))) == wanted


@given(st.data(), accepted_events().filter(len))
def test_a_changed_byte_is_noticed(data: st.DataObject, events: AcceptedEvents) -> None:
    """Wherever it is, unless the line means the same."""
    line = bytearray(events.encode())
    place = data.draw(st.integers(0, len(line) - 2))
    line[place] ^= data.draw(st.integers(1, 255))
    assert decode_columns(bytes(line)) is None
    assert decode_columns(events.encode()[:place]) is None


def test_a_damaged_line_says_how_many_events_it_had() -> None:
    """If that can be read."""
    line = events_with("x", 7).encode()
    assert stated_count(line[:-9]) == 7
    assert stated_count(line[3:]) is None
    assert stated_count(b'{"event_id":"e"}') is None


def test_a_line_fits_into_a_dead_letter() -> None:
    """Whether there are many events, or some with long properties."""
    for text, count in (("{}", 1_000), ("x" * 150, 1_000), ("x" * 3_000, 20)):
        events = events_with("x" * 30, count)
        content = replace(events, properties=[text] * (count - 1) + ["{}"]).encode()
        lines = content.splitlines()
        assert max(map(len, lines)) < RAW_CHARACTERS
        assert len(decoded(content)) == count
        assert len(lines) <= 2 * (
            1 + count * max(1 / MOST_EVENTS, len(text) / MOST_PROPERTIES)
        )


def test_a_long_event_is_alone() -> None:
    """So others do not make its dead letter longer."""
    events = events_with("x", 5)
    events.properties[2] = "x" * (MOST_PROPERTIES + 1)
    counts = [json.loads(line)["events"] for line in events.encode().splitlines()]
    assert counts == [2, 1, 2]


def test_the_first_line_names_the_trace() -> None:
    """Only it, however many there are."""
    content = events_with("x", 2 * MOST_EVENTS).encode("00-1-2-01")
    found = [json.loads(line).get("traceparent") for line in content.splitlines()]
    assert found == ["00-1-2-01", None]
