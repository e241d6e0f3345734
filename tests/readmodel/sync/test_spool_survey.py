"""Which files are taken: none is missed, whatever is killed, copied or set back."""

import random
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.spool_files import SpoolFile, checksum, file_name
from readmodel.spool.protocol import SpoolListing
from readmodel.store.manifest import Consumed
from readmodel.sync.spool_survey import (
    SpoolSurvey,
    positions_after,
    read_batch,
    survey,
)
from tests.support.effort import examples
from util.errors import SpoolError


@dataclass
class FakeSpool:
    """A collector with its spool, as far as a drain sees it."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    instance: str = "x"
    number: int = 0
    absent: Collection[int] = ()
    """Places of the files that have not arrived."""

    is_down: bool = False
    is_complete: bool = True

    def write(self, content: str) -> None:
        """Acknowledge an event."""
        self.number += 1
        self.files[file_name(self.instance, self.number)] = content.encode()

    def copied(self, name: str) -> "FakeSpool":
        """A copy of the machine while it runs."""
        return replace(self, name=name, files=dict(self.files))

    def listing(self) -> SpoolListing:
        """See Spool."""
        self._require_up()
        found = [
            SpoolFile(name.partition(".")[0], name, len(content), 0.0)
            for name, content in sorted(self.files.items())
        ]
        return SpoolListing(found, self.is_complete)

    def checksum(self, file: SpoolFile) -> str | None:
        """See Spool."""
        return checksum(self.files[file.name])

    def content(self, file: SpoolFile) -> bytes | None:
        """See Spool."""
        self._require_up()
        place = sorted(self.files).index(file.name)
        return None if place in self.absent else self.files[file.name]

    def remove(self, files: Collection[SpoolFile]) -> None:
        """See Spool."""
        self._require_up()
        for file in files:
            self.files.pop(file.name, None)

    def _require_up(self) -> None:
        if self.is_down:
            raise SpoolError(f"{self.name} is down")


@dataclass
class ReadModel:
    """What the snapshot has: the events and the positions, which change together."""

    consumed: Consumed = field(default_factory=Consumed)
    stored: list[str] = field(default_factory=list)
    repeated: int = 0
    found: SpoolSurvey = field(default_factory=SpoolSurvey)

    def drain(
        self, *spools: FakeSpool, max_bytes: int = 1_000, killed_at: int = 9
    ) -> None:
        """A drain as in `readmodel.sync.drain`, which dies at one of its steps."""
        self.found = survey(spools, self.consumed)
        for step, (file, spool) in enumerate(self.found.taken):
            if step == killed_at:
                return
            _remove(spool, [file])
        batch = read_batch(self.found, max_bytes)
        if killed_at == 0:
            return
        names, checksums = positions_after(self.consumed, self.found, batch)
        self.consumed = Consumed(names, checksums)
        for each in batch.files:
            text = each.content.decode()
            self.repeated += text in self.stored
            self.stored += [] if text in self.stored else [text]
        for step, ((file, spool), _) in enumerate(batch.files, start=1):
            if step == killed_at:
                return
            _remove(spool, [file])


def _remove(spool: object, files: list[SpoolFile]) -> None:
    assert isinstance(spool, FakeSpool)
    if not spool.is_down:
        spool.remove(files)


@given(st.integers(0, 2**32))
@settings(max_examples=examples(150, 3_000), deadline=None)
def test_every_acknowledged_event_is_stored_in_the_end(seed: int) -> None:
    """Kills, lost removals, copied machines, machines that are set back, slow transfers.

    Without copies nothing is read a second time, either.
    """
    chance = random.Random(seed)
    copies = chance.random() < 0.5
    spools = [FakeSpool("a", instance="a"), FakeSpool("b", instance="b")]
    model, earlier = ReadModel(), spools[0].copied("a")
    written: list[str] = []
    lost: set[str] = set()
    for step in range(chance.randint(1, 25)):
        spool = chance.choice(spools)
        action = chance.randint(0, 9)
        if action < 4:
            written.append(f"event {step}")
            spool.write(written[-1])
        elif action == 4:
            spool.instance, spool.number = f"{spool.name}{step:02}", 0
        elif action == 5 and copies and len(spools) < 4:
            spools.append(spool.copied(f"copy {step}"))
        elif action == 6 and copies:
            earlier, spools[0] = spools[0], replace(earlier, files=dict(earlier.files))
            # What it had written since is acknowledged, and may be on no disk any more.
            lost |= {content.decode() for content in earlier.files.values()}
        else:
            spool.is_down = chance.random() < 0.3
            spool.absent = chance.choice([(), (), (0,), (1,), (1, 2)])
            spool.is_complete = chance.random() < 0.8
            model.drain(
                *spools,
                max_bytes=chance.choice([1, 20, 1_000]),
                killed_at=chance.choice([9, 9, 0, 1, 2]),
            )
    for spool in spools:
        spool.is_down, spool.absent, spool.is_complete = False, (), True
    for _ in range(40):
        model.drain(*spools)
    assert len(set(model.stored)) == len(model.stored)
    assert set(written) - lost <= set(model.stored) <= set(written)
    assert not any(spool.files for spool in spools)
    if not copies:
        assert model.repeated == 0
        assert not model.found.conflicts


def test_a_machine_that_was_copied_while_it_ran_is_named() -> None:
    """Both write files of the same names; those of the slower one are not skipped."""
    model, first = ReadModel(), FakeSpool("https://c1")
    first.write("1")
    copy = first.copied("https://c2")
    first.write("2")
    first.write("3")
    model.drain(first)
    copy.write("2 of the copy")
    model.drain(first, copy)
    assert [text.partition(" than")[0] for text in model.found.conflicts] == [
        "https://c2 has other files of the instance x"
    ]
    assert sorted(model.stored) == ["1", "2", "2 of the copy", "3"]
    first.write("4")
    copy.write("3 of the copy")
    model.drain(first, copy)
    assert any(
        text.startswith("https://c1 and https://c2 both have files of the instance x:")
        for text in model.found.conflicts
    )
    assert "4" in model.stored
    assert "3 of the copy" in model.stored


def test_a_machine_that_was_set_back_is_named() -> None:
    """It writes other files under the numbers of those that were taken."""
    model, machine = ReadModel(), FakeSpool("https://c1")
    machine.write("1")
    earlier = machine.copied("https://c1")
    machine.write("2")
    machine.write("3")
    model.drain(machine, killed_at=3)
    assert model.stored == ["1", "2", "3"]
    earlier.write("2 again")
    model.drain(earlier)
    assert [text.partition(" than")[0] for text in model.found.conflicts] == [
        "https://c1 has other files of the instance x"
    ]
    assert model.stored == ["1", "2", "3", "2 again"]
    assert earlier.files == {}


def test_a_file_that_has_not_arrived_holds_back_its_instance_only() -> None:
    """The position is one file per instance, so none before it may be missing."""
    model = ReadModel()
    first, second = FakeSpool("a", instance="a"), FakeSpool("b", instance="b")
    for number in range(3):
        first.write(f"a{number}")
        second.write(f"b{number}")
    first.absent = (1,)
    model.drain(first, second)
    assert sorted(model.stored) == ["a0", "b0", "b1", "b2"]
    assert model.consumed.spool == {
        "a": file_name("a", 1),
        "b": file_name("b", 3),
    }


def test_a_spool_that_fails_holds_back_no_other_and_keeps_its_position() -> None:
    """Its files may be there when it answers again."""
    model = ReadModel()
    first, second = FakeSpool("a", instance="a"), FakeSpool("b", instance="b")
    first.write("a1")
    second.write("b1")
    model.drain(first, second)
    second.write("b2")
    first.is_down = True
    model.drain(first, second)
    assert model.stored == ["a1", "b1", "b2"]
    assert model.found.failures == {"a": "a is down"}
    assert model.consumed.spool.keys() == {"a", "b"}


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_position_is_forgotten_when_its_instance_certainly_has_no_file(
    is_complete: bool,
) -> None:
    """A listing that was cut off does not say so."""
    model = ReadModel(Consumed({"old": file_name("old", 5)}, {"old": "0" * 64}))
    spool = FakeSpool("a", instance="a", is_complete=is_complete)
    spool.write("a1")
    model.drain(spool)
    assert ("old" in model.consumed.spool) is not is_complete
    assert model.consumed.checksums.keys() == model.consumed.spool.keys()
