"""The tables of events, which no database has: `events` and `events_rejected`."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from readmodel.dtypes import INSTANT

EVENTS: Final = "events"
REJECTED: Final = "events_rejected"

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

EVENT_TABLES: Final[Mapping[str, tuple[str, pl.Schema]]] = {
    EVENTS: ("event_id", EVENT_SCHEMA),
    REJECTED: ("rejection_id", REJECTED_SCHEMA),
}
"""Table -> the column that is unique, and all columns."""
