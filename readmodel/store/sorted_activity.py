"""Activity: who did something when, of most page views and estimations, in one order.

Sessions and returning visitors need the visits of each visitor in order of time. Sorting
them takes half of the time of all statistics, so a snapshot has them sorted in its folder
``activity``: see docs/decisions/activity.md. The columns are ``visitor`` (UInt64), ``at``
(Datetime us, UTC; 1970 for a missing time) and ``estimated`` (Boolean), sorted by all
three. Each file has the visitors of one range, and the files follow each other in order.
Rows without a visitor are left out.

The activity is made of the visits of some parts, which it names by their checksum. It can
be read while the snapshot has all of these parts; visits of the others are unsorted.
"""

import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.store import visits
from readmodel.store.manifest import ActivityFiles, Part, SideFile, StoredTable
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import Snapshot, table_folder

TIMES: Final[Mapping[str, str]] = {
    "fpp_page_views": "viewed_at",
    "fpp_estimations": "estimated_at",
}
"""Table -> the column that says when."""

ESTIMATED: Final = "fpp_estimations"
"""Its rows are `estimated`. Whatever reads the activity reads this table, too."""

FOLDER: Final = "activity"
"""No table has a folder of this name: theirs end in .parquet and the like."""

FORMAT: Final = 1
"""Raised when the columns or their order change."""

TIME_BITS: Final = 52
"""Bits for microseconds since 1970; enough until the year 2112."""

_STEP: Final = pl.lit(2**64, dtype=pl.UInt128)


class OpenedActivity(NamedTuple):
    """The sorted activity of a snapshot, and the visits of parts that it lacks.

    These are None for a table of which it has all parts.
    """

    rows: pl.LazyFrame
    unsorted_views: pl.LazyFrame | None
    unsorted_estimations: pl.LazyFrame | None


def version() -> str:
    """The version of the format, of which that of the visits is a part."""
    return f"{visits.version()}-{FORMAT}"


def applies_to(tables: Mapping[str, StoredTable]) -> bool:
    """True if *tables* have all columns of the activity, and visits to make it of."""
    return all(
        name in tables
        and tables[name].schema.get(at) == INSTANT
        and all(map(VISITS.is_usable, tables[name].parts))
        for name, at in TIMES.items()
    )


def file(number: int) -> Path:
    """The path of the file *number*, below the snapshot's folder."""
    return Path(FOLDER, f"part-{number:05}.parquet")


def files(record: ActivityFiles) -> Iterator[tuple[Path, SideFile]]:
    """The paths of the files of *record*, as of `file`, each with its record."""
    for number, it in enumerate(record.files):
        yield file(number), it


def present_files(snapshot: Snapshot) -> Iterator[tuple[Path, SideFile]]:
    """The files of the activity of *snapshot* that are there; none need be."""
    if snapshot.manifest and snapshot.manifest.activity:
        for path, record in files(snapshot.manifest.activity):
            if (snapshot.path / path).exists():
                yield snapshot.path / path, record


def other_parts(
    record: ActivityFiles, tables: Mapping[str, StoredTable]
) -> dict[str, list[Part]] | None:
    """The parts of *tables*, by table, whose rows *record* lacks.

    None if it cannot be read: another version wrote it, or a part of it is gone.
    """
    if not applies_to(tables) or {it.version for it in record.files} != {version()}:
        return None
    found = {}
    for name in TIMES:
        covered = Counter(record.visits.get(name, ()))
        found[name] = [it for it in tables[name].parts if not _take(covered, it)]
        if covered.total():
            return None
    return found


def visits_crc32(part: Part) -> int:
    """What names *part* wherever it is linked: its visits' checksum."""
    assert part.visits is not None
    return part.visits.crc32


def _take(covered: Counter[int], part: Part) -> bool:
    """Take *part* out of *covered*; False if it is not there. Equal parts count apart."""
    name = visits_crc32(part)
    covered[name] -= 1
    if covered[name] < 0:
        del covered[name]
        return False
    return True


def is_readable(snapshot: Snapshot) -> bool:
    """True if `open_activity` finds the activity of *snapshot*. Looks at the files."""
    found = _found(snapshot)
    return found is not None and all(map(os.path.isfile, found.all_files))


def open_activity(snapshot: Snapshot) -> OpenedActivity | None:
    """The activity of *snapshot* as lazy frames; None if it has none that can be read."""
    found = _found(snapshot)
    if found is None or not is_readable(snapshot):
        return None
    viewed, estimated = (
        _scan(files) if files else None for files in found.others.values()
    )
    return OpenedActivity(_scan(found.files), viewed, estimated)


class _Found(NamedTuple):
    """The files of an activity, and the visits of the parts that it lacks, by table."""

    files: Sequence[Path]
    others: Mapping[str, Sequence[Path]]

    @property
    def all_files(self) -> Iterator[Path]:
        """Both."""
        return chain(self.files, *self.others.values())


@lru_cache(maxsize=8)  # Each request looks at the files.
def _found(snapshot: Snapshot) -> _Found | None:
    manifest = snapshot.manifest
    # A plan for other hosts is divided by visitors, see `content`.
    if manifest is None or manifest.activity is None or snapshot.scan_folder:
        return None
    others = other_parts(manifest.activity, manifest.tables)
    if others is None:
        return None
    paths = [snapshot.path / path for path, _ in files(manifest.activity)]
    return _Found(
        paths, {name: _visits(snapshot, name, it) for name, it in others.items()}
    )


def _visits(snapshot: Snapshot, table: str, parts: Iterable[Part]) -> list[Path]:
    folder = snapshot.path / table_folder(table)
    return [VISITS.path(folder / part.file) for part in parts]


def encode(files: Mapping[str, Sequence[Path]], number: int, ranges: int) -> bytes:
    """The file *number* of *ranges*, made of the *files* with visits of each table."""
    rows = pl.concat(
        _packed(_scan(files[name]), at, kind, number, ranges)
        for kind, (name, at) in enumerate(TIMES.items())
        if files[name]
    )
    packed, moment = pl.col("packed"), pl.col("moment")
    content = io.BytesIO()
    (
        rows.sort("packed")
        .select(
            visitor=(packed // _STEP).cast(pl.UInt64, wrap_numerical=True),
            moment=packed.cast(pl.UInt64, wrap_numerical=True),
        )
        .select(
            "visitor",
            at=(moment // 2).cast(pl.Int64, wrap_numerical=True).cast(INSTANT),
            estimated=(moment & 1) == 1,
        )
        .sink_parquet(
            content,
            compression=visits.COMPRESSION,
            row_group_size=visits.ROW_GROUP_ROWS,
            engine="streaming",
        )
    )
    return content.getvalue()


def _packed(
    rows: pl.LazyFrame, at: str, kind: int, number: int, ranges: int
) -> pl.LazyFrame:
    """Pack visits as `calculations.activity` does, those of a range of visitors.

    Range 0 of 2 has the visitors below 2⁶³.
    """
    first, end = (2**64 * bound // ranges for bound in (number, number + 1))
    low, high = (pl.lit(bound, pl.UInt64) for bound in (first, end - 1))
    moment = pl.col(at).to_physical().fill_null(0).clip(0, 2**TIME_BITS - 1)
    halves = (
        half.cast(pl.UInt128, wrap_numerical=True)
        for half in (pl.col("visitor"), moment * 2 + kind)
    )
    upper, lower = halves
    return rows.filter(pl.col("visitor").is_between(low, high)).select(
        packed=upper * _STEP + lower
    )


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    return pl.scan_parquet(list(files), glob=False, hive_partitioning=False)
