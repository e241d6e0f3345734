"""Side files: beside a part, some of its values once more, in a form that is read faster.

    t.parquet/part-00000.parquet      the part
    t.visits/part-00000.parquet       its visits, see `visits`
    t.rooms/part-00000.arrows         its votes by room, see `room_votes`
    t.tallies/part-00000.parquet      its rows per combination of values, see `tallies`
    t.quarters/part-00000.parquet     its rows per quarter of an hour, see `quarters`
    t.ids/part-00000.index            an index of its ids, see `id_index`

They are derived from their part, written, linked and compared with their checksum
together with it. One that is missing, or of another version, is not read; the next sync
writes it again, from the part and not from the database.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.store import id_index, quarters, room_votes, tallies, visits
from readmodel.store.manifest import Part, SideFile, VisitsFile
from util.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class SideFileKind:
    """One kind of side file; `name` is that of its member of `Part`, and of its folder.

    A table has it if `applies_to` its name and columns. `encode` makes its bytes from the
    rows of a part; they can be read if its record has the `version` of today.
    """

    name: str
    extension: str
    applies_to: Callable[[str, Collection[str]], bool]
    encode: Callable[[pl.LazyFrame, str], bytes]
    version: Callable[[], str]

    def path(self, part: Path) -> Path:
        """The side file of the file *part*."""
        return Path(self.file(str(part)))

    def file(self, part: str) -> str:
        """The same as a string, for each request.

        ``fpp_votes.parquet/part-7.parquet`` -> ``fpp_votes.rooms/part-7.arrows``
        """
        folder, name = part.removesuffix(PARQUET).rsplit(f"{PARQUET}/", 1)
        return f"{folder}.{self.name}/{name}{self.extension}"

    def record(self, part: Part) -> SideFile | VisitsFile | None:
        """The record of the side file of *part*; None without one."""
        record: SideFile | VisitsFile | None = getattr(part, self.name)
        return record

    def is_usable(self, part: Part) -> bool:
        """True if *part* has a side file that this build can read."""
        record = self.record(part)
        return record is not None and record.version == self.version()

    def make_record(self, size: int, crc32: int) -> SideFile | VisitsFile:
        """The record of a file of *size* bytes that was written now."""
        made = VisitsFile if self is VISITS else SideFile
        return made(size, crc32, self.version())

    def with_record(self, part: Part, record: SideFile | VisitsFile | None) -> Part:
        """*part* with this *record* of its side file."""
        members: JsonObject = {self.name: record}
        return replace(part, **members)


PARQUET: Final = ".parquet"
"""How the names of parts and of their folders end."""

VISITS: Final = SideFileKind(
    "visits", ".parquet", visits.applies_to, visits.encode, visits.version
)
ROOMS: Final = SideFileKind(
    "rooms", ".arrows", room_votes.applies_to, room_votes.encode, room_votes.version
)
TALLIES: Final = SideFileKind(
    "tallies", ".parquet", tallies.applies_to, tallies.encode, tallies.version
)
QUARTERS: Final = SideFileKind(
    "quarters", ".parquet", quarters.applies_to, quarters.encode, quarters.version
)
IDS: Final = SideFileKind(
    "ids", ".index", id_index.applies_to, id_index.encode, id_index.version
)
KINDS: Final = (VISITS, ROOMS, TALLIES, QUARTERS, IDS)


def recorded_side_files(
    part: Part, file: Path
) -> Iterator[tuple[Path, SideFile | VisitsFile]]:
    """The side files of *part*, whose own is *file*, each with its record."""
    for kind in KINDS:
        if record := kind.record(part):
            yield kind.path(file), record
