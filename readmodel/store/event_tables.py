"""The tables of events, which no database has: events, dead letters and their audit log."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.tables import EVENT_TABLE_NAMES

EVENTS, REJECTED, AUDIT = EVENT_TABLE_NAMES

EVENT_SCHEMA: Final = pl.Schema(
    {
        "event_id": pl.String(),
        "app_id": pl.String(),
        "name": pl.String(),
        "user_id": pl.String(),
        "at": INSTANT,
        "source": pl.String(),
        "properties": pl.String(),
        "received_at": INSTANT,
        "sender": pl.String(),
        "sent_at": INSTANT,
        "content_hash": pl.Int64(),
        "id_hash": pl.Int64(),
        "batch": pl.String(),
    }
)
"""One row per accepted event; `event_id` is unique, `properties` is a JSON object."""

REJECTED_SCHEMA: Final = pl.Schema(
    {
        "rejection_id": pl.String(),
        "event_id": pl.String(),
        "code": pl.String(),
        "message": pl.String(),
        "raw": pl.String(),
        "schema": pl.String(),
        "sender": pl.String(),
        "received_at": INSTANT,
        "batch": pl.String(),
    }
)
"""One row per dead letter; `rejection_id` is unique."""

AUDIT_SCHEMA: Final = pl.Schema(
    {
        "number": pl.Int64(),
        "at": INSTANT,
        "action": pl.String(),
        "sender": pl.String(),
        "salt": pl.String(),
        "sender_hash": pl.String(),
        "batches": pl.Int64(),
        "accepted": pl.Int64(),
        "repeated": pl.Int64(),
        "rejected": pl.Int64(),
        "removed_events": pl.Int64(),
        "removed_rejected": pl.Int64(),
        "details": pl.String(),
        "previous_hash": pl.String(),
        "row_hash": pl.String(),
    }
)
"""One row per change of the other two tables, see `audit`; `number` is unique."""

EVENT_TABLES: Final[Mapping[str, tuple[str, pl.Schema]]] = {
    EVENTS: ("event_id", EVENT_SCHEMA),
    REJECTED: ("rejection_id", REJECTED_SCHEMA),
    AUDIT: ("number", AUDIT_SCHEMA),
}
"""Table -> the column that is unique, and all columns."""
