"""Read spool files into frames of events and of dead letters."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import polars as pl

from events.codes import RejectionCode
from events.column_lines import ColumnLine, decode_columns, stated_count
from events.ids import id_hashes
from events.lines import RAW_CHARACTERS, TRACEPARENT, AcceptedLine, RejectedLine
from events.spool_files import LINES_SUFFIX
from events.verdicts import Judged
from readmodel.store.event_tables import EVENT_SCHEMA, REJECTED_SCHEMA
from util.garbage import collection_paused

_COLUMNS: Final = {**REJECTED_SCHEMA, **EVENT_SCHEMA}
LINE_SCHEMA: Final = pl.Schema(
    {
        name: pl.Int64() if isinstance(dtype, pl.Datetime) else dtype
        for name, dtype in _COLUMNS.items()
        if name != "id_hash"
    }
    | {TRACEPARENT: pl.String()}
)
"""All keys of both kinds of lines; instants are microseconds."""

_ACCEPTED_SCHEMA: Final = pl.Schema(
    {
        name: dtype
        for name, dtype in LINE_SCHEMA.items()
        if name in EVENT_SCHEMA or name in {"code", TRACEPARENT}
    }
)

_COLUMN_NAMES: Final = tuple(
    name for name in _ACCEPTED_SCHEMA if name not in {"code", TRACEPARENT}
)

NEEDED: Final = ("event_id", "name", "at", "properties", "received_at", "content_hash")
"""Keys of an accepted event that are never null."""

NEEDED_REJECTED: Final = ("rejection_id", "received_at")

_NO_LETTERS: Final = pl.DataFrame(schema=REJECTED_SCHEMA)

GROUP_BYTES: Final = 4 * 2**20
"""Of files that are parsed at once: bounds the memory, and more takes no less time."""


class SpooledEvents(NamedTuple):
    """Rows of EVENT_SCHEMA, and rows of REJECTED_SCHEMA, in the order of the files.

    `traceparents` name the spans in which they were sent.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    traceparents: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> "SpooledEvents":
        """No events."""
        return cls(
            pl.DataFrame(schema=EVENT_SCHEMA), pl.DataFrame(schema=REJECTED_SCHEMA)
        )


class SpoolLine(NamedTuple):
    """A line of a file, with its end; the first one has the number 1."""

    file: str
    number: int
    content: bytes


def read_spool(files: Iterable[tuple[str, bytes]]) -> SpooledEvents:
    """Read all lines of *files*, names and contents; a damaged one is a dead letter."""
    # What is parsed is bounded and has no cycle, and is looked through for them else.
    with collection_paused():
        return concat_events(
            _read_lines(group) if is_by_lines else _read_columns(group)
            for is_by_lines, group in _groups(files)
        )


def _groups(
    files: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[bool, list[tuple[str, bytes]]]]:
    """Files of one format, some GROUP_BYTES at a time; True if they have a line per event."""
    for is_by_lines, alike in groupby(files, lambda f: f[0].endswith(LINES_SUFFIX)):
        group: list[tuple[str, bytes]] = []
        size = 0
        for file in alike:
            group.append(file)
            size += len(file[1])
            if size > GROUP_BYTES:
                yield is_by_lines, group
                group, size = [], 0
        if group:
            yield is_by_lines, group


def _read_lines(files: Sequence[tuple[str, bytes]]) -> SpooledEvents:
    """The events of files with a line for each."""
    content = b"".join(content for _, content in files)
    accepted = _parse_accepted(content)
    if accepted is not None:
        return _split(accepted)
    lines = _parse(content)
    return _split(
        _parse_one_by_one(_lines_of(files), _parse) if lines is None else lines
    )


def _read_columns(files: Sequence[tuple[str, bytes]]) -> SpooledEvents:
    """The events of files that have them by columns, but rejected ones by lines."""
    lines = list(_lines_of(files))
    parsed = [decode_columns(line.content) for line in lines]
    events = _whole_columns([each for each in parsed if each is not None])
    if events is None:  # one of them has values of other types
        alone = [each and _whole_columns([each]) for each in parsed]
        events = concat_events(filter(None, alone))
        parsed = [
            each and found and each for each, found in zip(parsed, alone, strict=True)
        ]
    others = [line for line, each in zip(lines, parsed, strict=True) if each is None]
    if not others:
        return events
    return concat_events([events, _split(_parse_letters(others))])


def _whole_columns(lines: Sequence[ColumnLine]) -> SpooledEvents | None:
    """The events of *lines*, whose checksums are right; None if a value is not."""
    try:
        return _by_columns(lines)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return None


def _lines_of(files: Iterable[tuple[str, bytes]]) -> Iterator[SpoolLine]:
    for name, content in files:
        for number, line in enumerate(_divided(content), start=1):
            yield SpoolLine(name, number, line)


def _divided(content: bytes) -> Iterator[bytes]:
    """The lines with their ends; `splitlines` looks for other ends, byte by byte."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start) + 1 or len(content)
        yield content[start:end]
        start = end


def _parse_letters(lines: Sequence[SpoolLine]) -> pl.DataFrame:
    """Parse lines that are not by columns: rejected events, or damaged lines."""
    parsed = _parse_rejected(b"".join(line.content for line in lines))
    if parsed is None:
        return _parse_one_by_one(lines, _parse_rejected)
    return parsed


def _parse_rejected(content: bytes) -> pl.DataFrame | None:
    """Parse rejected events; None if a line is damaged, or another kind of line.

    Columns that cannot be read may look like an event with strange values.
    """
    lines = _parse(content)
    return None if lines is None or lines["code"].null_count() else lines


def _by_columns(lines: Sequence[ColumnLine]) -> SpooledEvents | None:
    """The same; None if a value is missing. Raises TypeError, OverflowError, PolarsError."""
    counts = [line.size for line in lines]
    numbers = pl.int_range(len(lines), eager=True)
    owner = numbers.repeat_by(pl.Series(counts, dtype=pl.Int64)).explode()
    lists = {name: _listed(lines, name, counts) for name in _COLUMN_NAMES}
    columns = [
        pl.Series(name, values, LINE_SCHEMA[name])
        if values is not None
        else _values(lines, name).gather(owner)
        for name, values in lists.items()
    ]
    frame = pl.DataFrame(columns)
    if sum(frame[name].null_count() for name in NEEDED):
        return None
    traces = _values(lines, TRACEPARENT)
    # To make texts of a column again takes a quarter as long as to hash them.
    id_hash = _hashes(lists["event_id"] or frame["event_id"].to_list())
    accepted = _typed(frame, EVENT_SCHEMA, id_hash)
    return SpooledEvents(accepted, _NO_LETTERS, tuple(traces.drop_nulls()))


def _listed(
    lines: Sequence[ColumnLine], name: str, counts: Sequence[int]
) -> list[Any] | None:
    """The values of a column, one for each event; None if no line has a list of them."""
    values = [line.columns.get(name) for line in lines]
    if list not in set(map(type, values)):
        return None
    return list(chain.from_iterable(map(_repeated, values, counts)))


def _values(lines: Sequence[ColumnLine], name: str) -> pl.Series:
    """The value that all events of a line have, for each line."""
    values = [line.columns.get(name) for line in lines]
    return pl.Series(name, values, LINE_SCHEMA[name])


def _repeated(values: Any, count: int) -> Sequence[Any]:
    return values if type(values) is list else [values] * count


def rows_of(lines: Sequence[AcceptedLine | RejectedLine]) -> SpooledEvents:
    """The rows of lines that are not read from a file."""
    accepted = [line for line in lines if "code" not in line]
    rejected = [{"schema": None, **line} for line in lines if "code" in line]
    return _split(pl.concat([_frame(accepted), _frame(rejected)]))


def judged_rows(judged: Judged) -> SpooledEvents:
    """The rows of verdicts on messages."""
    events = judged.accepted
    columns = {
        name: pl.Series(name, values, LINE_SCHEMA[name])
        for name, values in events.columns.items()
    }
    common = {
        name: pl.lit(value, LINE_SCHEMA[name])
        for name, value in (
            ("received_at", events.received_at),
            ("sender", events.sender),
        )
    }
    accepted = pl.DataFrame(columns)
    rejected = pl.DataFrame(schema=REJECTED_SCHEMA)
    if judged.rejected:
        rejected = rows_of([line for _, line in judged.rejected]).rejected
    id_hash = _hashes(events.event_id)
    return SpooledEvents(_typed(accepted, EVENT_SCHEMA, id_hash, **common), rejected)


def _hashes(event_ids: Iterable[str]) -> pl.Series:
    return pl.Series("id_hash", id_hashes(event_ids), pl.Int64())


def concat_events(events: Iterable[SpooledEvents]) -> SpooledEvents:
    """All of *events*, in their order."""
    accepted, rejected, traces = zip(SpooledEvents.empty(), *events, strict=True)
    parents = tuple(chain.from_iterable(traces))
    return SpooledEvents(pl.concat(accepted), pl.concat(rejected), parents)


def _frame(lines: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The frame of lines that all have the same keys, by columns: rows take longer."""
    names = tuple(lines[0]) if lines else ()
    columns = {name: list(map(itemgetter(name), lines)) for name in names}
    frame = pl.DataFrame(columns, {name: LINE_SCHEMA[name] for name in names})
    return pl.concat([pl.DataFrame(schema=LINE_SCHEMA), frame], how="diagonal")


def _split(lines: pl.DataFrame) -> SpooledEvents:
    is_rejected = pl.col("code").is_not_null()
    accepted, rejected = lines, pl.DataFrame(schema=REJECTED_SCHEMA)
    if lines["code"].null_count() < len(lines):
        accepted = lines.filter(~is_rejected)
        rejected = _typed(lines.filter(is_rejected), REJECTED_SCHEMA)
    id_hash = _hashes(accepted["event_id"].to_list())
    traces = tuple(lines[TRACEPARENT].drop_nulls().to_list())
    return SpooledEvents(_typed(accepted, EVENT_SCHEMA, id_hash), rejected, traces)


def _typed(
    lines: pl.DataFrame, schema: pl.Schema, *columns: pl.Series, **values: pl.Expr
) -> pl.DataFrame:
    """The columns of *schema*, from *columns*, *values* and *lines*; by one query."""
    added = {column.name: pl.lit(column) for column in columns} | values
    return lines.select(
        added.get(name, pl.col(name)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def _parse_accepted(content: bytes) -> pl.DataFrame | None:
    """Parse *content*, without the columns of rejected events.

    None if a line is rejected or damaged. It takes a third less time, by fewer columns.
    """
    if b'"code":' in content:  # surely a key: within a text, its quotes had a backslash
        return None
    try:
        lines = pl.read_ndjson(content, schema=_ACCEPTED_SCHEMA)
    except pl.exceptions.PolarsError:
        return None
    missing = sum(lines[name].null_count() for name in NEEDED)
    is_whole = not missing and lines["code"].null_count() == len(lines)
    return lines if is_whole and len(lines) == content.count(b"\n") else None


def _parse(content: bytes) -> pl.DataFrame | None:
    """Parse *content*; None if a line is damaged."""
    try:
        lines = pl.read_ndjson(content, schema=LINE_SCHEMA)
    except pl.exceptions.PolarsError:
        return None
    is_rejected = pl.col("code").is_not_null()
    is_whole = pl.all_horizontal(pl.col(NEEDED).is_not_null())
    is_whole_rejected = pl.all_horizontal(pl.col(NEEDED_REJECTED).is_not_null())
    is_right = pl.when(is_rejected).then(is_whole_rejected).otherwise(is_whole)
    whole = lines.select(is_right.sum()).item()
    return lines if whole == content.count(b"\n") else None


def _parse_one_by_one(
    lines: Iterable[SpoolLine], parse: Callable[[bytes], pl.DataFrame | None]
) -> pl.DataFrame:
    """Parse line by line, since one is damaged: it must not hold back the others."""
    frames = [pl.DataFrame(schema=LINE_SCHEMA)]
    for line in lines:
        content = line.content
        parsed = parse(content if content.endswith(b"\n") else content + b"\n")
        frames.append(_unreadable(line) if parsed is None else parsed)
    return pl.concat(frames)


def _unreadable(line: SpoolLine) -> pl.DataFrame:
    """The dead letter of a damaged line."""
    place = f"line {line.number} of {line.file}"
    count = stated_count(line.content)
    row = {
        "rejection_id": f"{line.file}:{line.number}:{RejectionCode.UNREADABLE}",
        "code": str(RejectionCode.UNREADABLE),
        "message": f"{place}{f', with {count:,} events,' if count else ''} is damaged",
        "raw": line.content.decode(errors="replace")[:RAW_CHARACTERS],
        "received_at": _received_at(line.content),
    }
    return pl.DataFrame([row], schema=LINE_SCHEMA)


def _received_at(line: bytes) -> int | None:
    """The instant of arrival, if at least that can be read."""
    try:
        found: Any = json.loads(line).get("received_at")
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if type(found) is int and abs(found) < 2**62 else None
