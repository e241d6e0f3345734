"""Which events are new: compared with an oracle that goes through them one by one."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.ids import id_hash
from readmodel.store.event_tables import EVENT_SCHEMA, EVENTS, REJECTED_SCHEMA
from readmodel.store.side_files import IDS
from readmodel.sync.event_ids import (
    conflict_rejections,
    new_events,
    new_rejections,
)
from tests.support.effort import examples
from tests.support.events import AT


def events(*rows: tuple[str, int, int]) -> pl.DataFrame:
    """Rows of id, content and second of arrival."""
    return pl.DataFrame(
        [
            {
                "event_id": event_id,
                "name": "x",
                "at": arrival(second),
                "received_at": arrival(second),
                "properties": "{}",
                "content_hash": content,
                "id_hash": id_hash(event_id),
            }
            for event_id, content, second in rows
        ],
        schema=EVENT_SCHEMA,
    )


def arrival(second: int) -> datetime:
    """An instant after AT."""
    return AT + timedelta(seconds=second)


def pairs(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Id and content of each row."""
    return frame.select("event_id", "content_hash").rows()


def stored(folder: Path, *parts: pl.DataFrame) -> list[Path]:
    """Write each of *parts* to a file."""
    table = folder / "events.parquet"
    table.mkdir()
    files = [table / f"part-{number}.parquet" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        part.write_parquet(file, row_group_size=2)
    return files


def test_the_first_event_with_an_id_stays() -> None:
    """By arrival, not by the order of the files; a repetition adds nothing."""
    found = new_events(events(("a", 2, 5), ("a", 1, 1), ("a", 1, 9), ("b", 1, 3)), [])
    assert pairs(found.new) == [("a", 1), ("b", 1)]
    assert found.repeated == 1
    assert pairs(found.conflicts) == [("a", 2)]


def test_a_stored_event_stays_whatever_comes(tmp_path: Path) -> None:
    """Also if the new one claims to be earlier."""
    files = stored(tmp_path, events(("a", 1, 5)), events(("b", 1, 6)))
    found = new_events(events(("a", 2, 1), ("b", 1, 1), ("c", 1, 1)), files)
    assert pairs(found.new) == [("c", 1)]
    assert (found.repeated, pairs(found.conflicts)) == (1, [("a", 2)])


def test_ids_with_the_same_hash_are_told_apart(tmp_path: Path) -> None:
    """Two of 2^64 may have it one day."""
    same = events(("a", 1, 1)).with_columns(id_hash=pl.lit(7, pl.Int64))
    files = stored(tmp_path, same)
    found = new_events(same.with_columns(event_id=pl.lit("b")), files)
    assert pairs(found.new) == [("b", 1)]
    assert new_events(same, files).repeated == 1


def test_the_hash_of_an_id_never_changes() -> None:
    """It is stored."""
    assert [id_hash(text) for text in ("a", "é")] == [
        4681665781835383343,
        -3811523526868657873,
    ]


SOME_IDS = st.sampled_from(
    ["a", "b", "", "Z", "é"]
    + [str(UUID(int=(n << 80) | (7 << 76) | (2 << 62))) for n in (1, 2, 3, 2**47)]
)
ROWS = st.lists(st.tuples(SOME_IDS, st.integers(0, 2), st.integers(0, 5)), max_size=12)


def oracle(
    incoming: list[tuple[str, int, int]], known: dict[str, int]
) -> tuple[list[tuple[str, int]], int, list[tuple[str, int]]]:
    """New, repeated and conflicting events, one after the other."""
    new, repeated, conflicts = [], 0, []
    known = dict(known)
    for event_id, content, _ in sorted(incoming, key=lambda row: row[2]):
        if event_id not in known:
            known[event_id] = content
            new.append((event_id, content))
        elif known[event_id] == content:
            repeated += 1
        else:
            conflicts.append((event_id, content))
    return new, repeated, conflicts


@settings(max_examples=examples(40))
@given(ROWS, st.lists(ROWS, max_size=3), st.integers(0, 7))
def test_it_equals_going_through_them_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    incoming: list[tuple[str, int, int]],
    parts: list[list[tuple[str, int, int]]],
    indexed: int,
) -> None:
    """Whatever is stored in how many parts, with an index or not, and whatever the ids are."""
    known: dict[str, int] = {}
    unique = []
    for part in parts:
        fresh, _, _ = oracle(part, known)
        known |= dict(fresh)
        unique.append(events(*((i, content, 0) for i, content in fresh)))
    files = stored(tmp_path_factory.mktemp("parts"), *unique)
    for number, (file, rows) in enumerate(zip(files, unique, strict=True)):
        if indexed >> number & 1:
            IDS.path(file).parent.mkdir(exist_ok=True)
            IDS.path(file).write_bytes(IDS.encode(rows.lazy(), EVENTS))
    found = new_events(events(*incoming), files)
    new, repeated, conflicts = oracle(incoming, known)
    assert pairs(found.new) == new
    assert (found.repeated, pairs(found.conflicts)) == (repeated, conflicts)


def test_a_conflict_becomes_one_dead_letter_with_the_event(tmp_path: Path) -> None:
    """Repeated, it is the same one; the raw event is JSON."""
    conflicts = events(("a", 2, 1))
    letters = conflict_rejections(conflicts)
    assert letters.schema == REJECTED_SCHEMA
    assert letters["rejection_id"].to_list() == ["a:conflict:2"]
    assert '"event_id":"a"' in letters["raw"].item()
    assert new_rejections(pl.concat([letters, letters]), []).height == 1
    assert new_rejections(letters, stored(tmp_path, letters)).is_empty()
