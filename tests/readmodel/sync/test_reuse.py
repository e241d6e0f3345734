"""Which stored parts are reused: none that is damaged, and none of another shape."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest

from readmodel.source.blocking import Block, Blocking, KeyKind
from readmodel.source.sqlite.source import SqliteView
from readmodel.store.manifest import Part
from readmodel.sync.reuse import (
    ReusablePart,
    ReusableTable,
    reusable_parts,
    stored_block_width,
    stored_table,
)
from readmodel.tables import Table
from tests.support.effort import bounded, some_long
from tests.support.mirror import START, Mirror
from tests.support.snapshots import (
    cut_short,
    damage_manifest,
    flip_a_bit,
    replace_by_other_bytes,
)
from tests.support.visits import TABLE, publish_visits, visits_of

COLUMNS = {"id": "Int64", "n": "Int64"}
FORMAT = SqliteView.digest_format
BY_ID = Blocking("id", KeyKind.NUMBER, 16_384, FORMAT)


DAMAGES = (Path.unlink, cut_short, flip_a_bit, replace_by_other_bytes)


@pytest.mark.parametrize(
    ("damage", "index"), some_long(bounded([*product(DAMAGES, (0, 1, -1))], 6), 2)
)
def test_a_damaged_part_is_noticed_and_fetched_again(
    mirror: Mirror, damage: Callable[[Path], None], index: int
) -> None:
    """Missing, cut short, one bit flipped, or another file: that part, and no other."""
    assert len(mirror.parts()) == 3
    damage(mirror.parts()[index])
    (difference,) = mirror.verify().differences
    assert difference.reason == "is damaged or missing on disk"
    report = mirror.sync()
    assert 0 < report.rows_fetched < 100_000
    assert mirror.is_exact()
    assert mirror.verify().differences == ()


@pytest.mark.parametrize("text", some_long(["", "{}", '{"version": 1', "\x00\x01"]))
def test_after_damage_to_the_manifest_everything_is_fetched(
    mirror: Mirror, text: str
) -> None:
    """Without it nothing on disk can be trusted."""
    damage_manifest(mirror.snapshot.path, text.encode())
    assert stored_table(mirror.data_dir, "things") is None
    assert mirror.sync().rows_fetched == 100_000
    assert mirror.is_exact()


def test_a_lost_snapshot_is_built_again(mirror: Mirror) -> None:
    """Deleting the folder below `current` costs nothing but time."""
    shutil.rmtree(mirror.snapshot.path)
    assert mirror.sync().rows_fetched == 100_000
    assert mirror.is_exact()


def test_a_boolean_becomes_an_integer_only_where_its_numbers_are_checked(
    mirror: Mirror,
) -> None:
    """Any number may have become true; only digests of an earlier format are checked."""
    mirror.run("CREATE TABLE flags (id INTEGER, flag BOOLEAN)")
    mirror.run("INSERT INTO flags VALUES (1, 1)")
    mirror.sync(Table("flags", key="id"))
    columns = {"id": "Int64", "flag": "Int8"}
    assert reusable_parts(mirror.data_dir, "flags", columns, BY_ID).parts == ()
    renewing = replace(BY_ID, digest_format=FORMAT + 1, earlier_format=FORMAT)
    (part,) = reusable_parts(mirror.data_dir, "flags", columns, renewing).parts
    assert part.booleans == {"flag"}
    assert part.is_outdated


def test_parts_are_reused_with_the_same_columns_and_blocks_only(mirror: Mirror) -> None:
    """In the same order, and cut by the same key and width."""
    stored, _ = stored_table(mirror.data_dir, "things") or (None, None)
    assert stored is not None
    whole = reusable_parts(mirror.data_dir, "things", COLUMNS, BY_ID)
    assert [part.part for part in whole.parts] == list(stored.parts)
    assert whole.changed_at == stored.changed_at
    assert whole.is_complete
    wider = replace(BY_ID, width=32_768)
    for columns, blocking in (
        ({"n": "Int64", "id": "Int64"}, BY_ID),
        ({"id": "Int32", "n": "Int64"}, BY_ID),
        ({"id": "Int64"}, BY_ID),
        (COLUMNS, wider),
    ):
        found = reusable_parts(mirror.data_dir, "things", columns, blocking)
        assert (found.parts, found.changed_at) == ((), None)


def test_only_sampled_parts_are_read_whole(mirror: Mirror) -> None:
    """A flipped bit in the rows is found by the checksum and by nothing else."""
    flip_a_bit(mirror.parts()[1])

    def reusable(sample: set[int]) -> int:
        found = reusable_parts(
            mirror.data_dir, "things", COLUMNS, BY_ID, sample.__contains__
        )
        return len(found.parts)

    assert reusable({0, 2}) == 3
    assert reusable({1}) == 2


def test_the_stored_block_width_is_that_of_the_first_readable_part(
    mirror: Mirror,
) -> None:
    """None for a table that is not stored."""
    mirror.parts()[0].unlink()
    assert stored_block_width(mirror.data_dir, "things") == 16_384
    assert stored_block_width(mirror.data_dir, "others") is None


def test_blocks_of_a_part_are_read_by_their_numbers(mirror: Mirror) -> None:
    """Also the block None, which here has no rows."""
    (part, *_) = reusable_parts(mirror.data_dir, "things", COLUMNS, BY_ID).parts
    rows = part.read(BY_ID, {None, 1})
    assert rows["id"].to_list() == list(range(16_384, 2 * 16_384))
    assert part.read(BY_ID, set()).is_empty()


def test_a_table_without_some_parts_is_not_complete() -> None:
    """Nor is one with an empty part, which has no blocks to go by."""

    def part(*blocks: Block, at: datetime = START) -> ReusablePart:
        return ReusablePart(Part("p", 1, 1, 1, at), Path("p"), blocks)

    one, other = part(Block(0, 1, 0)), part(Block(1, 1, 0))
    table = ReusableTable((one, other), START)
    assert table.is_complete
    assert table.without(set()) is table
    assert table.without({0}) == ReusableTable((other,), None)
    assert not table.without({0}).is_complete
    assert not ReusableTable((part(),), START).is_complete


def cut_the_end(file: Path) -> None:
    """Remove the last bytes of *file*."""
    file.write_bytes(file.read_bytes()[:-8])


@pytest.mark.parametrize("damage", [Path.unlink, cut_the_end, flip_a_bit])
def test_damage_to_visits_is_damage_to_their_part(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """It is found by the same checksums, and repaired together with the part."""
    published = publish_visits(tmp_path)
    assert published.manifest is not None
    parts = [
        ReusablePart(part, Path(file), ())
        for part, file in zip(
            published.manifest.tables[TABLE].parts, published.files(TABLE), strict=True
        )
    ]
    assert [part.is_damaged() for part in parts] == [False, False]
    damage(visits_of(published)[1])
    assert [part.is_damaged() for part in parts] == [False, True]
