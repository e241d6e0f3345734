"""Ids of events: which are new, repeated, or in conflict with stored ones.

Each id is stored once, and the event that arrived first stays.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from events.codes import RejectionCode
from events.lines import RAW_CHARACTERS
from readmodel.store.event_tables import EVENT_SCHEMA, REJECTED_SCHEMA
from readmodel.store.id_index import look_up
from readmodel.store.side_files import IDS

_SORTED_IDS: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-"
"""UUIDs of version 7. Those of a drain are near each other, so most files are skipped."""


class NewRows(NamedTuple):
    """Rows to store, repetitions of stored rows, and rows that contradict stored ones."""

    new: pl.DataFrame
    repeated: int
    conflicts: pl.DataFrame


def new_events(events: pl.DataFrame, stored: Sequence[Path]) -> NewRows:
    """Compare *events*, rows of EVENT_SCHEMA, with each other and with the *stored* parts.

    Of rows with one id the one that arrived first counts, unless one is stored. The
    others repeat it if they have its content, and else are in conflict with it.
    """
    in_order = events
    if not events["received_at"].is_sorted():
        in_order = events.sort("received_at", maintain_order=True)
    known = _stored_events(stored, in_order)
    if known.is_empty() and in_order["id_hash"].n_unique() == in_order.height:
        return NewRows(in_order, 0, in_order.clear())
    return _without_repetitions(in_order.with_row_index("row"), known)


def _without_repetitions(ordered: pl.DataFrame, known: pl.DataFrame) -> NewRows:
    """Compare *ordered*, with their number as ``row``, with the *known* stored rows."""
    first = ordered.unique("event_id", keep="first", maintain_order=True)
    new = first.join(known, on="event_id", how="anti", maintain_order="left")
    valid = pl.concat([known, new.select(known.columns)]).rename(
        {"content_hash": "valid_hash"}
    )
    others = ordered.join(new, on="row", how="anti", maintain_order="left").join(
        valid, on="event_id", how="left", maintain_order="left"
    )
    conflicts = others.filter(pl.col("content_hash") != pl.col("valid_hash"))
    return NewRows(
        new.drop("row"),
        others.height - conflicts.height,
        conflicts.select(EVENT_SCHEMA.names()),
    )


def new_rejections(rejected: pl.DataFrame, stored: Sequence[Path]) -> pl.DataFrame:
    """The rows of *rejected* whose id is neither stored nor repeated."""
    if rejected.is_empty():
        return rejected
    first = rejected.unique("rejection_id", keep="first", maintain_order=True)
    if not stored:
        return first
    known = _in_range(stored, first["rejection_id"], "rejection_id")
    return first.join(known, on="rejection_id", how="anti", maintain_order="left")


def conflict_rejections(conflicts: pl.DataFrame) -> pl.DataFrame:
    """The dead letters of events whose id is that of another event.

    A conflict that is repeated has the same `rejection_id`.
    """
    if conflicts.is_empty():
        return pl.DataFrame(schema=REJECTED_SCHEMA)
    raw = pl.struct(EVENT_SCHEMA.names()).struct.json_encode()
    code = str(RejectionCode.CONFLICT)
    identity = pl.concat_str(
        "event_id", pl.lit(code), pl.col("content_hash").cast(pl.String), separator=":"
    )
    return conflicts.with_columns(
        rejection_id=identity,
        code=pl.lit(code),
        message=pl.lit("an event with this id and another content is stored"),
        raw=raw.str.head(RAW_CHARACTERS),
        schema=pl.lit(None, pl.String()),
    ).select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items())


def _stored_events(files: Sequence[Path], events: pl.DataFrame) -> pl.DataFrame:
    """``event_id`` and ``content_hash`` of the stored rows with the ids of *events*."""
    columns = ("event_id", "content_hash")
    nothing = pl.DataFrame(schema={name: EVENT_SCHEMA[name] for name in columns})
    _require(files)
    if not files or events.is_empty():
        return nothing
    indexed = ((file, IDS.file(str(file))) for file in files)
    hits, to_read = look_up(indexed, events["id_hash"])
    found = [_with_hash([file], hashes, events) for file, hashes in hits]
    return pl.concat([nothing, *found, *_read(to_read, events)])


def _read(files: Sequence[Path], events: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The same, of parts without an index.

    The ids of a drain that sort by time are in few files, and in few row groups. Other
    ids are looked up by their hash, which is a fifth of the work of comparing texts.
    """
    is_sorted = pl.col("event_id").str.contains(_SORTED_IDS)
    by_time, others = events.filter(is_sorted), events.filter(~is_sorted)
    if files and len(by_time):
        yield _in_range(files, by_time["event_id"], "event_id", "content_hash")
    if files and len(others):
        hashes = others.select("id_hash").lazy()
        rows = _scan(files).select("id_hash")
        hits = rows.join(hashes, on="id_hash", how="semi").collect()
        if len(hits):
            yield _with_hash(files, hits["id_hash"], others)


def _with_hash(
    files: Sequence[Path], hashes: pl.Series, events: pl.DataFrame
) -> pl.DataFrame:
    """``event_id`` and ``content_hash`` of rows with one of *hashes* and of the ids."""
    is_hit = pl.col("id_hash").is_in(hashes.implode())
    rows = _scan(files).filter(is_hit).select("event_id", "content_hash")
    ids = events.select("event_id").lazy()
    return rows.join(ids, on="event_id", how="semi").collect()


def _in_range(files: Sequence[Path], ids: pl.Series, *columns: str) -> pl.DataFrame:
    """Rows with one of *ids*; the range lets files and row groups be skipped."""
    key = ids.name
    in_range = pl.col(key).is_between(pl.lit(ids.min()), pl.lit(ids.max()))
    rows = _scan(files).filter(in_range).select(columns)
    return rows.join(pl.LazyFrame({key: ids}), on=key, how="semi").collect()


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    _require(files)
    return pl.scan_parquet(list(files), glob=False, hive_partitioning=False)


def _require(files: Sequence[Path]) -> None:
    for file in files:
        if not file.is_file():  # reading a pipe would wait for ever
            raise FileNotFoundError(f"{file.name} of the stored events is missing")
