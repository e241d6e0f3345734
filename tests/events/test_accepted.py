"""Lines of the spool, however they are put together."""

import json
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from events.accepted import COLUMNS, AcceptedEvents, encode_lines

texts = st.text() | st.sampled_from(["},{", 'x},{"', "}\n{", "\\", '"'])
numbers = st.integers(-(2**63), 2**63 - 1)
columns: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("event_id", "name", "properties", "batch"), texts),
    **dict.fromkeys(("app_id", "user_id", "source"), st.none() | texts),
    **dict.fromkeys(("at", "content_hash"), numbers),
    "sent_at": st.none() | numbers,
}


def events_with(text: str) -> AcceptedEvents:
    """Two events of which all texts are *text*."""
    found: dict[str, Any] = {name: [text, text] for name in COLUMNS}
    numbers = {name: [1, 2] for name in ("at", "sent_at", "content_hash")}
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


def one_by_one(lines: list[Any]) -> bytes:
    """Each line by itself."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


@given(accepted_events())
@example(events_with("},{"))
def test_lines_are_those_of_each_event(events: AcceptedEvents) -> None:
    """Texts that look like the end of a line, too; the order of keys does not matter."""
    lines = events.lines()
    assert encode_lines(lines) == one_by_one(lines)
    assert [json.loads(line) for line in events.encode().splitlines()] == lines
