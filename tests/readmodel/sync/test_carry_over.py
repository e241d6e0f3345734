"""Events survive every sync, and a failing sync and a failing drain are independent."""

from pathlib import Path

import polars as pl
import pytest

from readmodel.store.event_tables import EVENTS
from readmodel.sync.drain import drain
from readmodel.tables import Table
from tests.support.effort import some_long
from tests.support.events import line, write_spool
from tests.support.mirror import OTHERS, THINGS, Mirror
from tests.support.snapshots import damage_manifest
from util.errors import SourceError, StorageError


@pytest.fixture
def spool(tmp_path: Path, mirror: Mirror) -> Path:
    """A spool of which one event was taken into *mirror*."""
    spool = tmp_path / "spool"
    write_spool(spool, [line("e1")])
    drain(mirror.data_dir, spool, lambda: mirror.now)
    return spool


def ids(mirror: Mirror) -> list[str]:
    """The ids of the stored events."""
    return pl.read_parquet(mirror.data_dir / "events.parquet")["event_id"].to_list()


@pytest.mark.parametrize(
    "options", some_long([{}, {"full": True}, {"only": ["others"]}])
)
def test_a_sync_takes_the_events_over(
    options: dict[str, object], mirror: Mirror, spool: Path
) -> None:
    """As hard links, with the position in the spool."""
    before = mirror.snapshot
    mirror.run("INSERT INTO things VALUES (200000, 1)")
    mirror.sync(THINGS, OTHERS, **options)
    assert ids(mirror) == ["e1"]
    assert before.manifest
    assert mirror.manifest.consumed == before.manifest.consumed
    (old,), (new,) = before.files(EVENTS), mirror.snapshot.files(EVENTS)
    assert Path(old).samefile(new)
    write_spool(spool, [line("e2")], 2)
    drain(mirror.data_dir, spool, lambda: mirror.now)
    assert ids(mirror) == ["e1", "e2"]
    if "only" not in options:
        assert mirror.verify().differences == ()


def test_the_events_are_not_reported_as_removed(mirror: Mirror, spool: Path) -> None:
    """No setting names their tables, and they stay all the same."""
    assert spool.exists()
    assert mirror.sync().removed == {}


def test_a_drain_leaves_the_age_of_the_mirror_as_it_is(
    mirror: Mirror, spool: Path
) -> None:
    """Otherwise a database that is down would look fresh."""
    mirror.source.faults = [SourceError("down")]
    before = mirror.manifest.taken_at
    with pytest.raises(SourceError):
        mirror.sync()
    write_spool(spool, [line("e2")], 2)
    drain(mirror.data_dir, spool, lambda: mirror.now)
    assert ids(mirror) == ["e1", "e2"]
    assert mirror.manifest.taken_at == before
    assert mirror.snapshot.taken_at == before


def test_a_sync_does_not_replace_a_damaged_snapshot_with_events(
    mirror: Mirror, spool: Path
) -> None:
    """No source could bring them back."""
    damage_manifest(mirror.snapshot.path)
    with pytest.raises(StorageError, match="holds events, which are nowhere else"):
        mirror.sync()


def test_a_sync_replaces_a_damaged_snapshot_without_events(mirror: Mirror) -> None:
    """And snapshot.json has no key of events, since there is no spool."""
    assert "consumed" not in (mirror.snapshot.path / "snapshot.json").read_text()
    damage_manifest(mirror.snapshot.path)
    mirror.sync()
    assert mirror.is_exact()


def test_a_mirrored_table_does_not_replace_the_events(
    mirror: Mirror, spool: Path
) -> None:
    """Somebody added a table of the same name to SYNC_TABLES."""
    mirror.run("CREATE TABLE events (id INT PRIMARY KEY)")
    with pytest.raises(StorageError, match="name another table"):
        mirror.sync(THINGS, Table("events", "id"))
    assert ids(mirror) == ["e1"]
