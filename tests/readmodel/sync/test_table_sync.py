"""What a sync trusts of what is at hand, and when it looks again."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection, connect

import polars as pl
import pytest

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    block_width,
)
from readmodel.source.protocol import PassingFault, Unreachable
from readmodel.source.sqlite import SqliteSource, SqliteView
from readmodel.source.wire import Column
from readmodel.store.manifest import Part
from readmodel.store.snapshot import Snapshot, latest
from readmodel.sync import rotation
from readmodel.sync.reuse import ReusablePart
from readmodel.sync.rotation import Budget, parts_to_verify, spans
from readmodel.sync.run import Options, Report, sync
from readmodel.sync.verify import Verdict, verify
from readmodel.tables import Table
from util.errors import SourceError

THINGS = Table("things", key="id")
OTHERS = Table("others", key="id")
START = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass
class Watched:
    """An SQLite source that notes what is asked of it, and may fail first."""

    source: SqliteSource
    faults: list[Exception] = field(default_factory=list)
    asked: list[BlockRange] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "watched"

    @contextmanager
    def view(self) -> Iterator["WatchedView"]:
        if self.faults:
            raise self.faults.pop(0)
        with self.source.view() as view:
            yield WatchedView(view, self.asked)


class WatchedView(SqliteView):
    def __init__(self, view: SqliteView, asked: list[BlockRange]) -> None:
        super().__init__(view._name, view._connection)
        self._asked = asked

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        span: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        self._asked.append(span)
        return super().blocks(table, columns, cut, span)


@dataclass
class Mirror:
    """A table `things` of 100,000 rows in a few parts, and its mirror."""

    connection: Connection
    source: Watched
    data_dir: Path
    now: datetime = START

    def run(self, statement: str) -> None:
        self.connection.execute(statement)
        self.connection.commit()

    def sync(self, *tables: Table, **options: object) -> Report:
        self.now += timedelta(minutes=10)
        self.source.asked.clear()
        return sync(
            self.source,
            self.data_dir,
            tables or (THINGS,),
            lambda: self.now,
            options=Options(**options),  # type: ignore[arg-type]
        )

    @property
    def snapshot(self) -> Snapshot:
        return latest(self.data_dir)

    def parts(self) -> list[Path]:
        return sorted((self.snapshot.path / "things.parquet").iterdir())

    def verify(self) -> Verdict:
        (verdict,) = verify(self.source, self.data_dir, [THINGS])
        return verdict

    def is_exact(self) -> bool:
        rows = self.connection.execute("SELECT * FROM things ORDER BY id").fetchall()
        return pl.read_parquet(self.data_dir / "things.parquet").rows() == rows


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source and its mirror, for each test to copy."""
    place = tmp_path_factory.mktemp("template")
    with closing(connect(place / "source.db")) as connection:
        connection.execute("CREATE TABLE things (id INT PRIMARY KEY, n INT)")
        connection.execute("CREATE TABLE others (id INT, n INT)")
        connection.executemany(
            "INSERT INTO things VALUES (?, ?)", ((n, n % 7) for n in range(100_000))
        )
        connection.commit()
        _mirror(connection, place).sync()
    return place


@pytest.fixture
def mirror(template: Path, tmp_path: Path) -> Iterator[Mirror]:
    place = shutil.copytree(template, tmp_path / "copy", symlinks=True)
    with closing(connect(place / "source.db")) as connection:
        made = _mirror(connection, place)
        made.now += timedelta(minutes=10)
        yield made


def _mirror(connection: Connection, place: Path) -> Mirror:
    source = Watched(SqliteSource(place / "source.db"))
    return Mirror(connection, source, place / "data")


def _cut_short(file: Path) -> None:
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[: len(content) // 2])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.unlink()
    file.write_bytes(content)


def _other_file(file: Path) -> None:
    size = file.stat().st_size
    file.unlink()
    file.write_bytes(b"x" * size)


@pytest.mark.parametrize("harm", [Path.unlink, _cut_short, _flip, _other_file])
@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_damaged_part_is_noticed_and_fetched_again(
    mirror: Mirror, harm: Callable[[Path], None], index: int
) -> None:
    """Missing, cut short, one bit flipped, or another file: that part, and no other."""
    assert len(mirror.parts()) == 3
    harm(mirror.parts()[index])
    (difference,) = mirror.verify().differences
    assert difference.reason == "is damaged or missing on disk"
    report = mirror.sync()
    assert 0 < report.fetched < 100_000
    assert mirror.is_exact()
    assert mirror.verify().differences == ()


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1', "\x00\x01"])
def test_a_broken_manifest_is_noticed_and_all_is_fetched_again(
    mirror: Mirror, text: str
) -> None:
    """Without it nothing on disk can be trusted."""
    (mirror.snapshot.path / "snapshot.json").write_text(text)
    assert mirror.sync().fetched == 100_000
    assert mirror.is_exact()


def test_a_lost_snapshot_is_made_anew(mirror: Mirror) -> None:
    """Whoever deletes the folder below `current` loses nothing but time."""
    shutil.rmtree(mirror.snapshot.path)
    assert mirror.sync().fetched == 100_000
    assert mirror.is_exact()


def test_a_part_of_another_format_is_fetched_again(mirror: Mirror) -> None:
    """A note that says something else is no note."""
    file = mirror.parts()[0]
    frame = pl.read_parquet(file)
    file.unlink()
    frame.write_parquet(file, metadata={"fpp-analytics": json.dumps({"cut": []})})
    assert 0 < mirror.sync().fetched < 100_000
    assert mirror.is_exact()


def test_verify_names_the_part_that_differs_and_changes_nothing(mirror: Mirror) -> None:
    """By its file, with the rows on both sides."""
    before = mirror.snapshot
    mirror.run("UPDATE things SET n = 9 WHERE id = 3")
    mirror.run("INSERT INTO things VALUES (100001, 1)")
    first, last = mirror.verify().differences
    assert (first.part, last.part) == ("part-00000.parquet", "part-00002.parquet")
    assert "2 digests differ" in first.reason
    assert "the database 1,697" in last.reason
    assert mirror.snapshot == before
    mirror.sync()
    assert mirror.verify().differences == ()


def test_verify_names_a_table_with_other_columns_and_one_that_is_missing(
    mirror: Mirror,
) -> None:
    """Where there is nothing to compare, it says so."""
    mirror.run("ALTER TABLE things ADD COLUMN more INT")
    verdicts = list(verify(mirror.source, mirror.data_dir, [THINGS, OTHERS]))
    assert [str(d) for v in verdicts for d in v.differences] == [
        "things/*: has other columns in the database",
        "others/*: is not in the read model",
    ]


def test_only_the_named_tables_are_synced(mirror: Mirror) -> None:
    """The others stay in the read model as they were."""
    mirror.run("INSERT INTO others VALUES (1, 1)")
    mirror.sync(THINGS, OTHERS)
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    mirror.run("UPDATE others SET n = 60")
    report = mirror.sync(THINGS, OTHERS, only=["others"])
    assert [table.name for table in report.tables] == ["others"]
    assert pl.read_parquet(mirror.data_dir / "others.parquet").rows() == [(1, 60)]
    assert mirror.snapshot.scan("things").filter(id=5).collect()["n"].item() == 5
    mirror.sync(THINGS, OTHERS)
    assert mirror.is_exact()


def test_last_change_and_last_check_are_kept_apart(mirror: Mirror) -> None:
    """A sync without changes moves only the one."""
    manifest = mirror.snapshot.manifest
    assert manifest is not None
    changed = manifest.tables["things"].changed_at
    mirror.sync()
    manifest = mirror.snapshot.manifest
    assert manifest is not None
    assert manifest.tables["things"].changed_at == changed
    assert manifest.tables["things"].checked_at == mirror.now
    mirror.run("DELETE FROM things WHERE id = 99999")
    mirror.sync()
    manifest = mirror.snapshot.manifest
    assert manifest is not None
    assert manifest.tables["things"].changed_at == mirror.now


class TestRotation:
    """Above EVERY_RUN_ROWS, here set low, cold parts wait for their turn."""

    @pytest.fixture(autouse=True)
    def low(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("readmodel.sync.run.EVERY_RUN_ROWS", 50_000)
        monkeypatch.setattr(rotation, "RECENT_ROWS", 1_000)

    def test_without_time_only_the_last_part_is_compared(self, mirror: Mirror) -> None:
        """New rows are always seen; what changed in a cold part is not, yet."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.run("INSERT INTO things VALUES (100001, 1)")
        report = mirror.sync(digest_seconds=0)
        assert mirror.source.asked == [BlockRange(98_304 // 16_384, None)]
        assert 0 < report.fetched < 16_384
        things = mirror.snapshot.scan("things").collect()
        assert things.filter(id=100_001).height == 1
        assert things.filter(id=5)["n"].item() == 5
        assert report.tables[0].checked_at == START + timedelta(minutes=10)

    def test_with_time_everything_is_compared(self, mirror: Mirror) -> None:
        """Part by part, so that the time can be kept."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.sync(digest_seconds=60)
        assert len(mirror.source.asked) == 3
        assert mirror.is_exact()

    def test_every_part_is_compared_within_a_day(self, mirror: Mirror) -> None:
        """However little time there is."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.sync(digest_seconds=0)
        assert not mirror.is_exact()
        mirror.now += timedelta(hours=20)
        mirror.sync(digest_seconds=0)
        assert mirror.is_exact()

    def test_damage_is_repaired_from_a_full_comparison(self, mirror: Mirror) -> None:
        """A part that is gone leaves no gap that nobody answers for."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.parts()[1].unlink()
        mirror.sync(digest_seconds=0)
        assert mirror.is_exact()


def held(first: int, rows: int, checked_at: datetime) -> ReusablePart:
    part = Part("p", rows, 1, 1, checked_at)
    return ReusablePart(part, Path("p"), (Block(first, rows, 0),))


def test_the_part_that_waited_longest_is_next() -> None:
    """The last parts first, then by age, as long as the budget is not spent."""
    hour = timedelta(hours=1)
    parts = [
        held(0, 900_000, START - 2 * hour),
        held(10, 900_000, START - 3 * hour),
        held(20, 900_000, START - 1 * hour),
        held(30, 900_000, START - 9 * hour),
    ]
    budget = Budget(seconds=2, clock=iter(range(99)).__next__)
    turns = []
    for index in parts_to_verify(parts, START, budget):
        turns.append(index)
        budget.spend(lambda: None)
    assert turns == [3, 1]
    parts[2] = held(20, 900_000, START - 21 * hour)
    assert list(parts_to_verify(parts, START, Budget(0))) == [3, 2]


def test_the_parts_together_answer_for_every_key() -> None:
    """Also for what comes before the first and after the last, and for no key."""
    parts = [held(number, 1, START) for number in (-5, 0, 7)]
    assert spans(parts) == [BlockRange(None, -1), BlockRange(0, 6), BlockRange(7, None)]
    for number in (None, -99, -5, -1, 0, 6, 7, 99):
        covering = [span for span in spans(parts) if span.covers(Block(number, 1, 0))]
        assert len(covering) == 1


def test_sparse_ids_are_cut_wider_and_stay_cut_as_they_were() -> None:
    """The number of blocks follows the rows, and does not jump with estimates."""
    assert block_width(KeyBounds(1, 10_000_000, 10_000_000), None) == 16_384
    assert block_width(KeyBounds(1, 10_000_000, 2_000_000), None) == 16_384
    wide = block_width(KeyBounds(0, 2**63, 1_000_000), None)
    assert 2**63 // wide <= 4 * 1_000_000 // 16_384 + 256
    assert block_width(KeyBounds(0, 2**63, 300_000), wide) == wide
    assert block_width(KeyBounds(1, 10_000_000, 10_000_000), wide) == 16_384


def test_a_passing_fault_is_tried_again(mirror: Mirror) -> None:
    """Each is heard of; the run succeeds in the end."""
    mirror.source.faults += [PassingFault("lost"), Unreachable("away")]
    heard: list[str] = []
    mirror.sync(on_retry=heard.append)
    assert [line.partition(";")[0] for line in heard] == ["lost", "away"]
    assert mirror.is_exact()


def test_a_lasting_fault_is_not_tried_again(mirror: Mirror) -> None:
    """Nor is a server that never answered, nor anything once the patience is over."""
    for fault in (SourceError("denied"), Unreachable("nobody")):
        mirror.source.faults[:] = [fault]
        with pytest.raises(SourceError, match=str(fault)):
            mirror.sync()
    mirror.source.faults[:] = [PassingFault(f"fault {n}") for n in range(3)]
    with pytest.raises(PassingFault, match="fault 0"):
        mirror.sync(patience=timedelta(seconds=0.1))
    assert len(mirror.source.faults) == 2


def test_progress_counts_up_to_what_is_fetched(mirror: Mirror) -> None:
    """Of the rows that differ, not of all."""
    told: list[tuple[str, int, int]] = []
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    mirror.sync(on_progress=lambda *each: told.append(each))
    assert told == [("things", 16_384, 16_384)]
    told.clear()
    mirror.sync(full=True, on_progress=lambda *each: told.append(each))
    assert [wanted for _, _, wanted in told] == [100_000] * len(told)
    assert told[-1] == ("things", 100_000, 100_000)
    assert len(told) > 1
