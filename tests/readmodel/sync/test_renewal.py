"""Digests of an earlier format are replaced where the rows are proven to be the same."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from readmodel.source.blocking import Block, Blocking
from readmodel.source.sqlite.source import SqliteView
from readmodel.source.wire import Column
from readmodel.sync.renewal import NO_DIGEST, renew_digests
from readmodel.sync.reuse import reusable_parts
from readmodel.sync.run import sync
from readmodel.sync.table_spec import table_spec
from readmodel.sync.verify import verify
from readmodel.tables import Table
from tests.support.mirror import ROWS, THINGS, Mirror
from tests.support.snapshots import flip_a_bit


class NextView(SqliteView):
    """A view whose digests are twice those of format 2, which it recognises."""

    digest_format = 3
    earlier_format = 2

    def blocks(self, *arguments: object, **options: object) -> Sequence[Block]:
        """Digest in format 3."""
        blocks = super().blocks(*arguments, **options)  # type: ignore[arg-type]
        return [replace(block, digest=2 * block.digest) for block in blocks]

    def renewed_blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        booleans: Collection[str],
    ) -> Mapping[Block, Block]:
        """Digest in both formats."""
        assert not booleans
        blocks = super().blocks(table, columns, blocking)
        return {block: replace(block, digest=2 * block.digest) for block in blocks}


@dataclass
class NextSource:
    """The source of a mirror, with digests in format 3."""

    mirror: Mirror
    name: str = "next"

    @contextmanager
    def view(self, tables: Sequence[Table] = ()) -> Iterator[NextView]:
        """Open a view."""
        with self.mirror.source.source.view(tables) as view:
            yield NextView(view._name, view._connection, view._functions)

    def sync(self) -> int:
        """Sync, and return how many rows were fetched."""
        mirror = self.mirror
        return sync(self, mirror.data_dir, [THINGS], lambda: mirror.now).rows_fetched

    def differing_parts(self) -> int:
        """How many parts verify finds to differ."""
        (compared,) = verify(self, self.mirror.data_dir, [THINGS])
        return len(compared.differences)


@pytest.fixture
def source(mirror: Mirror) -> NextSource:
    """A source that recognises the digests of the mirror."""
    return NextSource(mirror)


def test_unchanged_parts_are_stored_again_once(
    mirror: Mirror, source: NextSource
) -> None:
    """Their files are new ones, and then linked."""
    files = [part.stat().st_ino for part in mirror.parts()]
    assert source.differing_parts() == 0
    assert source.sync() == 0
    renewed = [part.stat().st_ino for part in mirror.parts()]
    assert not set(files) & set(renewed)
    assert source.sync() == 0
    assert [part.stat().st_ino for part in mirror.parts()] == renewed
    assert source.differing_parts() == 0
    assert mirror.is_exact()


def test_a_changed_block_is_fetched(mirror: Mirror, source: NextSource) -> None:
    """Its digest becomes one that equals no other."""
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    assert source.differing_parts() == 1
    with source.view() as view:
        spec = table_spec(view, THINGS)
        stored = reusable_parts(
            mirror.data_dir, THINGS.name, spec.stored_columns, spec.blocking
        )
        renewed, blocks = renew_digests(view, spec, stored)
    digests = [block.digest for part in renewed.parts for block in part.blocks]
    assert blocks is not None
    assert digests == [NO_DIGEST, *(block.digest for block in blocks[1:])]
    assert source.sync() == 16_384
    assert mirror.is_exact()


def test_a_damaged_part_is_fetched_instead(mirror: Mirror, source: NextSource) -> None:
    """The others are stored again."""
    rows = mirror.manifest.tables["things"].parts[0].rows
    flip_a_bit(mirror.parts()[0])
    assert source.sync() == rows
    assert mirror.is_exact()


def test_without_the_earlier_format_all_rows_are_fetched(
    mirror: Mirror, source: NextSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be proven."""
    monkeypatch.setattr(NextView, "earlier_format", 0)
    assert source.sync() == ROWS
    assert mirror.is_exact()
