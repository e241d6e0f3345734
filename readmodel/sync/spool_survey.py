"""Which files of the spools are to be taken, and which ones a snapshot has already.

The position of an instance is the last file that was taken, with its checksum. Files up
to it are only taken if it is there with that checksum. Otherwise a process with the same
name has written other files: a machine was copied while it ran, or set back. Its files
are taken as well, since the ids of events make a second time harmless.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from events.spool_files import SpoolFile, checksum, is_taken
from readmodel.spool.protocol import Spool, SpoolListing
from readmodel.store.manifest import Consumed
from util.errors import SpoolError


class LocatedFile(NamedTuple):
    """A file, and the spool that has it."""

    file: SpoolFile
    spool: Spool


class FetchedFile(NamedTuple):
    """The same with its content."""

    located: LocatedFile
    content: bytes


@dataclass(slots=True)
class SpoolSurvey:
    """What the spools have.

    Attributes:
        waiting: files to take.
        taken: files that a snapshot contains, of which the removal was not completed.
        spool_of: a spool that has files of each instance.
        is_complete: True if no spool can have files of other instances.
        failures: why a spool cannot be used, by its name.
        conflicts: sentences about instances of which there are different files.
    """

    waiting: list[LocatedFile] = field(default_factory=list)
    taken: list[LocatedFile] = field(default_factory=list)
    spool_of: dict[str, Spool] = field(default_factory=dict)
    is_complete: bool = True
    failures: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)

    def add(self, spool: Spool, listing: SpoolListing, consumed: Consumed) -> None:
        """Add the files of one spool. Raises SpoolError."""
        self.is_complete = self.is_complete and listing.is_complete
        files_in_order = sorted(listing.files, key=_place)
        for instance, files in groupby(files_in_order, attrgetter("instance")):
            self._add_instance(spool, instance, list(files), consumed)

    def _add_instance(
        self, spool: Spool, instance: str, files: list[SpoolFile], consumed: Consumed
    ) -> None:
        other = self.spool_of.setdefault(instance, spool)
        if other is not spool:
            self.conflicts.append(_copied(instance, other, spool))
        located = [LocatedFile(file, spool) for file in files]
        count = sum(is_taken(file, consumed.spool) for file in files)
        if count and not _has_position(spool, files, consumed):
            self.conflicts.append(_differing(instance, spool))
            count = 0
        self.taken += located[:count]
        self.waiting += located[count:]


def survey(spools: Iterable[Spool], consumed: Consumed) -> SpoolSurvey:
    """Look at all *spools*; one that fails holds back no other."""
    found = SpoolSurvey()
    for spool in spools:
        try:
            found.add(spool, spool.listing(), consumed)
        except SpoolError as error:
            found.failures[spool.name] = str(error)
            found.is_complete = False
    found.waiting.sort(key=lambda located: _place(located.file))
    return found


def _place(file: SpoolFile) -> tuple[str, str]:
    return file.instance, file.name


def _has_position(spool: Spool, files: Sequence[SpoolFile], consumed: Consumed) -> bool:
    """True if the last file that was taken of their instance is among *files*.

    Versions before this one recorded no checksum, and their position is believed.
    """
    instance = files[0].instance
    wanted = consumed.checksums.get(instance)
    if wanted is None:
        return True
    last = (file for file in files if file.name == consumed.spool[instance])
    return any(spool.checksum(file) == wanted for file in last)


def _differing(instance: str, spool: Spool) -> str:
    return (
        f"{spool.name} has other files of the instance {instance} than those that were "
        "taken: a machine was copied while its collector ran, or it was set back. They "
        "are taken, too; restart the collector there"
    )


def _copied(instance: str, one: Spool, other: Spool) -> str:
    return (
        f"{one.name} and {other.name} both have files of the instance {instance}: they "
        "are one spool under two names, or one is a copy of the other. Both are taken, "
        "and events with the same id are stored once"
    )


class SpoolBatch(NamedTuple):
    """Files to store in one snapshot. `is_full` is True if others are left for later."""

    files: list[FetchedFile]
    is_full: bool

    @property
    def named_contents(self) -> list[tuple[str, bytes]]:
        """Names and contents."""
        return [(each.located.file.name, each.content) for each in self.files]


def read_batch(found: SpoolSurvey, max_bytes: int) -> SpoolBatch:
    """Read the first waiting files with together *max_bytes*, but at least one.

    A file that is not here yet, or cannot be read, holds back the later ones of its
    instance, since the position of an instance is one file. Failures are noted.
    """
    fetched: list[FetchedFile] = []
    held_back: set[tuple[str, str]] = set()
    size = 0
    for located in found.waiting:
        file, spool = located
        if (spool.name, file.instance) in held_back:
            continue
        if fetched and size + file.bytes > max_bytes:
            return SpoolBatch(fetched, is_full=True)
        content = _read(located, found.failures)
        if content is None:
            held_back.add((spool.name, file.instance))
            continue
        size += len(content)
        fetched.append(FetchedFile(located, content))
    return SpoolBatch(fetched, is_full=False)


def _read(located: LocatedFile, failures: dict[str, str]) -> bytes | None:
    try:
        return located.spool.content(located.file)
    except SpoolError as error:
        failures[located.spool.name] = str(error)
        return None


def positions_after(
    consumed: Consumed, found: SpoolSurvey, batch: SpoolBatch
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The last file taken per instance, and its checksum, once *batch* is stored.

    Instances without a file are left out: their files are gone for good, since the
    removal was flushed to the disk.
    """
    names = {
        name: file
        for name, file in consumed.spool.items()
        if name in found.spool_of or not found.is_complete
    }
    checksums = {
        name: text for name, text in consumed.checksums.items() if name in names
    }
    last: dict[str, bytes] = {}
    for (file, _), content in batch.files:
        if file.name >= names.get(file.instance, ""):
            names[file.instance] = file.name
            last[file.instance] = content
    return names, checksums | {name: checksum(each) for name, each in last.items()}
