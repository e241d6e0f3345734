"""Which events of the spool are new: each id is stored once, and the first one stays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from events.codes import RejectionCode
from events.lines import RAW_CHARACTERS
from readmodel.store.event_tables import EVENT_SCHEMA, REJECTED_SCHEMA

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
    ordered = events.sort("received_at", maintain_order=True).with_row_index("row")
    first = ordered.unique("event_id", keep="first", maintain_order=True)
    known = stored_rows(stored, first["event_id"], "event_id", "content_hash")
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
    first = rejected.unique("rejection_id", keep="first", maintain_order=True)
    known = stored_rows(stored, first["rejection_id"], "rejection_id")
    return first.join(known, on="rejection_id", how="anti", maintain_order="left")


def conflict_rejections(conflicts: pl.DataFrame) -> pl.DataFrame:
    """The dead letters of events whose id is that of another event.

    A conflict that is repeated has the same `rejection_id`.
    """
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


def stored_rows(
    files: Sequence[Path], ids: pl.Series, key: str, *columns: str
) -> pl.DataFrame:
    """The *key* and *columns* of the rows in *files* whose key is one of *ids*."""
    wanted = ids.drop_nulls()
    is_sorted = wanted.str.contains(_SORTED_IDS)
    schema = {key: pl.String(), **{name: EVENT_SCHEMA[name] for name in columns}}
    groups = (wanted.filter(is_sorted), wanted.filter(~is_sorted))
    found = (
        _scan(files, group, key, *columns) for group in groups if files and len(group)
    )
    return pl.concat([pl.DataFrame(schema=schema), *found])


def _scan(
    files: Sequence[Path], ids: pl.Series, key: str, *columns: str
) -> pl.DataFrame:
    """The range lets files and row groups be skipped by their statistics."""
    in_range = pl.col(key).is_between(pl.lit(ids.min()), pl.lit(ids.max()))
    rows = pl.scan_parquet(list(files), glob=False, hive_partitioning=False)
    wanted = pl.LazyFrame({key: ids})
    return (
        rows.filter(in_range)
        .select(key, *columns)
        .join(wanted, on=key, how="semi")
        .collect()
    )
