"""Votes by room: a second copy of votes, from which one room's are read without a scan.

Polars needs 1 to 2 ms to open a Parquet file and to filter it, and more with its rows. Here
a request reads and decodes one chunk of some hundred rows, which takes 0.1 ms however many
votes there are. See docs/decisions/room-votes.md.

    chunk, chunk, …     Arrow IPC streams: votes sorted by room, then as in the part
    index               an Arrow IPC stream: ``first_room`` and ``begins`` of each chunk
    8 bytes             the length of the index, unsigned, little endian

A room's votes are all in one chunk.
"""

import errno
import io
import os
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

TABLE: Final = "fpp_votes"

COLUMNS: Final = (
    "room_id",
    "avg_estimation",
    "min_estimation",
    "max_estimation",
    "amount_of_estimations",
    "amount_of_spectators",
    "duration",
    "voted_at",
)

CHUNK_ROWS: Final = 512
"""A chunk is complete when it has as many; decoding them takes as long as opening a file."""

FEW_BYTES: Final = 262_144
"""Some thousand votes, which take a millisecond."""

_LENGTH_BYTES: Final = 8

_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Read only from memory; None on systems other than Linux."""


def version() -> str:
    """The version of the format."""
    return "2"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has votes by room and *columns* include all that they need."""
    return table == TABLE and set(COLUMNS) <= set(columns)


def encode(rows: pl.LazyFrame, _table: str = TABLE) -> bytes:
    """The file for the votes *rows*; those without a room are left out."""
    votes = rows.select(COLUMNS).drop_nulls("room_id").collect()
    votes = votes.sort("room_id", maintain_order=True)
    file = io.BytesIO()
    begins, first_rooms = [], []
    for first_row, count in _chunks(votes):
        begins.append(file.tell())
        first_rooms.append(votes["room_id"][first_row])
        _write_stream(votes.slice(first_row, count), file)
    index_begins = file.tell()
    begins.append(index_begins)
    _write_stream(
        pl.DataFrame(
            {"first_room": [*first_rooms, None], "begins": begins},
            schema={"first_room": votes.schema["room_id"], "begins": pl.Int64},
        ),
        file,
    )
    length = file.tell() - index_begins
    file.write(length.to_bytes(_LENGTH_BYTES, "little"))
    return file.getvalue()


def _chunks(votes: pl.DataFrame) -> Sequence[tuple[int, int]]:
    """First row and number of rows of each chunk of the sorted *votes*.

    A chunk has all rooms that begin within the same `CHUNK_ROWS` rows.
    """
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    chunks = (
        votes.lazy()
        .select("room_id", row=row)
        .group_by("room_id", maintain_order=True)
        .agg(pl.col("row").first(), rows=pl.len())
        .group_by(pl.col("row") // CHUNK_ROWS, maintain_order=True)
        .agg(first_row=pl.col("row").first(), count=pl.col("rows").sum())
        .select("first_row", "count")
        .collect()
    )
    return chunks.rows()


def _write_stream(frame: pl.DataFrame, file: io.BytesIO) -> None:
    # To decompress a chunk takes as long as everything else that is done with it.
    frame.write_ipc_stream(file, compression="uncompressed")


@dataclass(frozen=True, slots=True)
class _Index:
    """The index of one file: chunk n has the bytes from begins[n] to begins[n + 1]."""

    file: str
    first_rooms: Sequence[int]
    begins: Sequence[int]

    def chunk(self, room_id: int) -> tuple[int, int] | None:
        """Begin and length of the chunk with the votes of *room_id*; None without any."""
        number = bisect_right(self.first_rooms, room_id) - 1
        if number < 0:
            return None
        begins, ends = self.begins[number], self.begins[number + 1]
        return begins, ends - begins


class RoomVotes:
    """The votes by room of one snapshot. Keeps the indexes of its files, and no votes."""

    def __init__(
        self, files: Sequence[Path], stored: pl.Schema, wanted: pl.Schema
    ) -> None:
        """Read the indexes of *files*, whose dtypes are *stored*, and those *wanted*.

        Raises OSError and PolarsError if one cannot be read.
        """
        self._indexes = [_read_index(str(file)) for file in files]
        self._casts = [
            pl.col(name).cast(wanted[name])
            for name in COLUMNS
            if wanted[name] != stored[name]
        ]
        self._none = pl.DataFrame(schema={name: stored[name] for name in COLUMNS})

    def of_room(self, room_id: int) -> pl.LazyFrame:
        """All votes of *room_id*, and no others.

        Columns: `COLUMNS`. Raises OSError and PolarsError if a file cannot be read.
        """
        chunks = (_read(*place) for place in self._places(room_id))
        return self._decode(chunks, room_id)

    def of_room_in_memory(self, room_id: int) -> pl.LazyFrame | None:
        """The same if it takes no time: the bytes are few, and in the system's cache.

        None otherwise. Raises OSError and PolarsError.
        """
        places = list(self._places(room_id))
        if sum(length for _, _, length in places) > FEW_BYTES:
            return None
        chunks = [_read(*place, flags=_NOWAIT) for place in places]
        complete = all(
            len(chunk) == length
            for chunk, (_, _, length) in zip(chunks, places, strict=True)
        )
        return self._decode(chunks, room_id) if complete else None

    def _places(self, room_id: int) -> Iterator[tuple[str, int, int]]:
        for index in self._indexes:
            if chunk := index.chunk(room_id):
                yield index.file, *chunk

    def _decode(self, chunks: Iterable[bytes], room_id: int) -> pl.LazyFrame:
        found = [_rows_of(room_id, chunk) for chunk in chunks]
        votes = pl.concat(found) if found else self._none
        return (votes.with_columns(self._casts) if self._casts else votes).lazy()


def _rows_of(room_id: int, chunk: bytes) -> pl.DataFrame:
    """Its rows in *chunk*, which is sorted by room. A filter would take twice as long."""
    votes = pl.read_ipc_stream(chunk)
    rooms = votes["room_id"].to_list()
    first = bisect_left(rooms, room_id)
    return votes.slice(first, bisect_right(rooms, room_id, first) - first)


def _read_index(file: str) -> _Index:
    size = os.stat(file).st_size  # noqa: PTH116 - as in `snapshot`
    begins = size - _LENGTH_BYTES
    length = int.from_bytes(_read(file, begins, _LENGTH_BYTES), "little")
    index = pl.read_ipc_stream(_read(file, begins - length, length))
    return _Index(
        file, index["first_room"].drop_nulls().to_list(), index["begins"].to_list()
    )


def _read(file: str, begins: int, length: int, flags: int | None = 0) -> bytes:
    """Some bytes of *file*, which is opened for each request, as Polars opens parts.

    Empty if *flags* are None, or if the system cannot read with them now.
    """
    content = bytearray(length)
    if flags is None:
        return b""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return bytes(content[: os.preadv(handle, [content], begins, flags)])
    except OSError as error:
        if flags and error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
            return b""
        raise
    finally:
        os.close(handle)
