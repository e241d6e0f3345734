"""SQL for blocks: how rows are packed, in which block a row is, which rows are meant."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from readmodel.source.blocking import (
    SECONDS_TO_1970,
    Block,
    Blocking,
    BlockRange,
    KeyKind,
)
from readmodel.source.mysql.columns import complete, identifier
from readmodel.source.wire import END, SEPARATOR, Column


def row(columns: Sequence[Column]) -> str:
    """SQL for one packed row; separators stand in it as themselves, not escaped."""
    fields = f",'{SEPARATOR}',".join(column.sql for column in columns)
    return f"CONCAT({fields},'{END}')"


def number(cut: Blocking) -> str:
    key = identifier(cut.key)
    if cut.axis is KeyKind.TIME:
        return f"{_seconds(key)} DIV {cut.width}"
    # A shift rounds down; DIV would put -1 and 1 into the same block.
    return f"{key} >> {cut.width.bit_length() - 1}"


def _seconds(key: str) -> str:
    return complete(key, f"TO_SECONDS({key})")


def within(cut: Blocking, blocks: Sequence[Block]) -> str:
    """SQL that is true for the rows of *blocks* and no others."""
    key = identifier(cut.key)
    block_of = _seconds(key) if cut.axis is KeyKind.TIME else key
    numbers = [block.number for block in blocks if block.number is not None]
    ranges = [
        f"{key} BETWEEN {_first(cut, low)} AND {_last(cut, high)}"
        for low, high in _spans(numbers)
    ]
    inside = f"({' OR '.join(ranges)}) AND {block_of} IS NOT NULL" if ranges else ""
    if len(numbers) == len(blocks):
        return inside
    nowhere = f"{block_of} IS NULL"
    return f"({inside}) OR {nowhere}" if inside else nowhere


def spanned(cut: Blocking, span: BlockRange) -> str:
    """SQL that is true for the rows of *span*."""
    key = identifier(cut.key)
    bounds = []
    if span.first is not None:
        bounds.append(f"{key} >= {_first(cut, span.first)}")
    if span.last is not None:
        bounds.append(f"{key} <= {_last(cut, span.last)}")
    inside = " AND ".join(bounds) or "TRUE"
    return inside if span.first is not None else f"({inside}) OR {key} IS NULL"


def _first(cut: Blocking, number: int) -> str:
    if cut.axis is KeyKind.NUMBER:
        return str(number * cut.width)
    return f"'{_moment(number * cut.width)}'"


def _last(cut: Blocking, number: int) -> str:
    if cut.axis is KeyKind.NUMBER:
        return str((number + 1) * cut.width - 1)
    return f"'{_moment((number + 1) * cut.width - 1)}.999999'"


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=seconds - SECONDS_TO_1970)


def _spans(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of ascending *numbers*."""
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
