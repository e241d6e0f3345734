"""Lines of the spool that have several accepted events, column by column.

    {"events":2,"crc32":2774593052,"received_at":1795255200000000,"sender":"token-1a2b3c4d",
     "name":"page_view","event_id":["e1","e2"],"at":[1795255199000000,1795255199500000],...}

A column is a list, or one value if all events have it; without the key it is null. The
checksum covers the bytes after it. A line has so few events that the dead letter of a
damaged one has its whole text.
"""

import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import orjson

from events.lines import TRACEPARENT

PREFIX: Final = b'{"events":'

MOST_EVENTS: Final = 50
"""Of a line. Without their properties they usually have some 100 characters each."""

MOST_PROPERTIES: Final = 8_000
"""Characters of the properties of a line, unless a single event has more."""

_HEAD: Final = re.compile(rb'\{"events":([1-9][0-9]{0,8}),"crc32":([0-9]{1,10}),')
_COUNT: Final = re.compile(PREFIX + rb"([1-9][0-9]{0,8}),")


class ColumnLine(NamedTuple):
    """The events of a line: a column is a list of `size` values, or one value."""

    size: int
    columns: Mapping[str, Any]


def encode_columns(
    columns: Mapping[str, Sequence[Any]],
    common: Mapping[str, Any],
    traceparent: str | None,
) -> bytes:
    """The lines of events with *columns*, one of them `properties`, and *common* values.

    The first line names the trace *traceparent*.
    """
    lists, equal = dict(columns), dict(common)
    for name, column in columns.items():
        if _are_equal(column):
            equal[name] = lists.pop(name)[0]
    equal = {name: value for name, value in equal.items() if value is not None}
    trace = {} if traceparent is None else {TRACEPARENT: traceparent}
    lines = []
    for start, end in _divided(columns["properties"]):
        chosen = {name: column[start:end] for name, column in lists.items()}
        lines.append(_line(end - start, {**equal, **trace, **chosen}))
        trace = {}
    return b"".join(lines)


def _are_equal(column: Sequence[Any]) -> bool:
    """True if there are values, and all are equal."""
    # Most columns differ in their last value already.
    return (
        bool(column)
        and column[-1] == column[0]
        and column.count(column[0]) == len(column)
    )


def _divided(properties: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Start and end of the events of each line."""
    start = 0
    while start < len(properties):
        sizes = [*map(len, properties[start : start + MOST_EVENTS])]
        count = len(sizes)
        if sum(sizes) > MOST_PROPERTIES:
            count = max(1, bisect_right([*accumulate(sizes)], MOST_PROPERTIES))
        yield start, start + count
        start += count


def _line(count: int, members: Mapping[str, Any]) -> bytes:
    content = orjson.dumps(members)[1:]
    return b'%b%d,"crc32":%d,%b\n' % (PREFIX, count, zlib.crc32(content), content)


def decode_columns(line: bytes) -> ColumnLine | None:
    """Parse a line, with or without its end; None if it is damaged."""
    head = _HEAD.match(line)
    if head is None:
        return None
    content = memoryview(line)[head.end() : len(line) - line.endswith(b"\n")]
    if zlib.crc32(content) != int(head[2]):
        return None
    count = int(head[1])
    try:
        columns = orjson.loads(line)
    except ValueError:
        return None
    sizes = {len(each) for each in columns.values() if type(each) is list}
    return ColumnLine(count, columns) if sizes <= {count} else None


def stated_count(line: bytes) -> int | None:
    """How many events a damaged line had, as far as that can be read."""
    found = _COUNT.match(line)
    return int(found[1]) if found else None
