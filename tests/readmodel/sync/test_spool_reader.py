"""Reading lines of the spool: the quick way and the thorough one find the same."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from readmodel.sync import spool_reader
from readmodel.sync.spool_reader import read_spool
from tests.support.effort import examples
from tests.support.events import line, rejected_line

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
    found = read_spool([("file", mixed)])
    assert found.accepted["event_id"].to_list() == ["e1", "e2"]
    assert found.rejected["rejection_id"].to_list() == ["r1"]
