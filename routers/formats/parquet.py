"""Tables as Parquet files that carry their definitions in the metadata."""

import json
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from routers.formats.table import TableAnswer
from util.json_types import JsonMapping

METADATA_KEY: Final = "fpp_analytics"
"""Key of the file's metadata whose value is `TableAnswer.context` as JSON."""

ROW_GROUP_ROWS: Final = 65_536


def write_parquet(table: TableAnswer, target: Path | BinaryIO) -> None:
    """Write *table* to *target*, in bounded memory if its rows are a plan.

    Each definition is also in the metadata under ``COLUMN.meaning`` and
    ``COLUMN.unit``, for tools that show it as it is.
    """
    context = table.context()
    metadata = {METADATA_KEY: json.dumps(context, ensure_ascii=False)}
    for column in context["columns"]:
        for key in ("meaning", "unit"):
            if column[key]:
                metadata[f"{column['name']}.{key}"] = column[key]
    # To a path, if possible: through a Python file object it takes three times as long.
    table.rows.lazy().sink_parquet(
        target,
        metadata=metadata,
        row_group_size=ROW_GROUP_ROWS,
        maintain_order=True,
        engine=pl.StreamingEngine(),
    )


def read_context(path: Path) -> JsonMapping:
    """The context of a file that `write_parquet` wrote. Raises KeyError without one."""
    context: JsonMapping = json.loads(pl.read_parquet_metadata(path)[METADATA_KEY])
    return context
