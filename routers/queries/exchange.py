"""What the API and the process of a query exchange."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from routers.formats.media import TableFormat

MAX_RESULT_BYTES: Final = 16_000_000
"""Of the rows as JSON lines, in every format."""

type QueryValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and what it may read and use.

    `files` are those of all tables of the snapshot, which is in `folder`. `use_landlock`
    is false where the folder is mounted read-only instead. With `rows_only`, JSON is
    the array of rows.
    """

    sql: str
    params: Mapping[str, QueryValue] | Sequence[QueryValue]
    limit: int
    table_format: TableFormat
    snapshot: str
    folder: Path
    files: Mapping[str, Sequence[Path]]
    taken_at: datetime
    zone: ZoneInfo
    memory_mb: int
    cpu_seconds: int
    use_landlock: bool
    rows_only: bool = False


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """An encoded result: whether rows were left out, how many there are, and the time."""

    truncated: bool
    rows: int
    columns: int
    milliseconds: float

    def encode(self, body: bytes) -> bytes:
        """A line of JSON, then *body*."""
        values = (self.truncated, self.rows, self.columns, self.milliseconds)
        return json.dumps(values).encode() + b"\n" + body


def parse_outcome(head: bytes) -> QueryOutcome:
    """The outcome from the first line of a reply. Raises ValueError."""
    truncated, rows, columns, milliseconds = json.loads(head)
    return QueryOutcome(bool(truncated), int(rows), int(columns), float(milliseconds))
