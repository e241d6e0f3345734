"""JSON of many values by one call is that of one by one."""

from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from events.joined_json import encode_arrays, encode_objects

TEXTS = st.text(max_size=4) | st.sampled_from(
    [",[", "],[", "x],[null,", ",[null,", "}", "},{", "\n", "\\", '"', '["', "},"]
)
CONTENTS = st.tuples(
    TEXTS | st.none(), TEXTS, TEXTS | st.none(), st.integers(0, 9), TEXTS | st.none()
)
VALUES = st.recursive(
    TEXTS | st.none() | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.lists(CONTENTS, max_size=4))
@example([("a", ",[", None, 1, ",["), ("b", "c", "d", 2, "e")])
@example([("a", "],[", None, 1, "],["), ("b", "c", "d", 2, "e")])
@example([("a", "b", None, 1, "],["), (None, "c", "d", 2, "e")])
@example([(None, "a", None, 1, "],[null,"), (None, "b", "],[null,", 2, None)])
def test_arrays_are_those_of_each(arrays: list[tuple[Any, ...]]) -> None:
    """Whatever their texts contain, and whether they begin with a text or with null."""
    begin, rests = encode_arrays(arrays)
    assert [begin + rest for rest in rests] == [orjson.dumps(each) for each in arrays]


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=2), max_size=4))
@example([{"a": [{"b": 1}, {"c": 2}]}, {}])
def test_objects_are_those_of_each(objects: list[dict[str, Any]]) -> None:
    """Also if there is a list of objects in one of them, or an empty one."""
    assert encode_objects(objects) == [orjson.dumps(o).decode() for o in objects]
