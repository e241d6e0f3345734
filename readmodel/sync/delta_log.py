"""Delta Lake's log beside each table, so that others' engines read a snapshot as tables.

    snapshots/<id>/fpp_votes.delta/_delta_log/00000000000000000000.json
    snapshots/<id>/fpp_votes.delta/<id> -> ../fpp_votes.parquet

The log has one commit, which names the parts; nothing is copied. Its paths begin with the
snapshot's id: through `current` a reader finds the files of the log that it has read, or
none, but never those of another snapshot. The log is not in the table's own folder, since
readers of that folder expect nothing but Parquet there.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from readmodel.store.manifest import StoredTable
from readmodel.store.snapshot import table_folder
from readmodel.sync.disk import sync_folder, write_synced
from util.json_types import JsonMapping

SUFFIX: Final = ".delta"
COMMIT: Final = "00000000000000000000.json"

_PRIMITIVES: Final[Mapping[pl.DataType, str]] = {
    pl.Binary(): "binary",
    pl.Boolean(): "boolean",
    pl.Date(): "date",
    pl.Datetime("us", "UTC"): "timestamp",
    pl.Datetime("us"): "timestamp_ntz",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.Int8(): "byte",
    pl.Int16(): "short",
    pl.Int32(): "integer",
    pl.Int64(): "long",
    pl.String(): "string",
    # There are no unsigned types; the next wider one holds all values.
    pl.UInt8(): "short",
    pl.UInt16(): "integer",
    pl.UInt32(): "long",
}


def write_delta_logs(
    snapshot: Path, id_: str, tables: Mapping[str, StoredTable]
) -> None:
    """Write the logs of *tables* into the folder *snapshot*, flushed. Raises OSError.

    Tables with a column that Delta Lake has no type for are left out.
    """
    for name, table in tables.items():
        try:
            content = "".join(
                json.dumps(action, ensure_ascii=False) + "\n"
                for action in _actions(name, id_, table)
            )
        except KeyError:
            continue
        folder = (snapshot / table_folder(name)).with_suffix(SUFFIX)
        log = folder / "_delta_log"
        log.mkdir(parents=True)
        (folder / id_).symlink_to(f"../{table_folder(name)}")
        write_synced(log / COMMIT, content.encode())
        sync_folder(log)
        sync_folder(folder)


def has_delta_logs(snapshot: Path) -> bool:
    """True if the folder *snapshot* has a log."""
    return any(snapshot.glob(f"*{SUFFIX}"))


def _actions(name: str, id_: str, table: StoredTable) -> Iterator[JsonMapping]:
    """The lines of the commit. Raises KeyError for a column without a type."""
    fields = [_field(column, dtype) for column, dtype in table.schema.items()]
    schema = {"type": "struct", "fields": fields}
    yield {"protocol": _protocol(json.dumps(fields))}
    yield {
        "metaData": {
            "id": str(uuid5(NAMESPACE_URL, f"fpp-analytics:{name}")),
            "name": name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps(schema, ensure_ascii=False),
            "partitionColumns": [],
            "configuration": {},
            "createdTime": _milliseconds(table.changed_at),
        }
    }
    for part in table.parts:
        yield {
            "add": {
                "path": f"{id_}/{part.file}",
                "partitionValues": {},
                "size": part.bytes,
                "modificationTime": _milliseconds(part.checked_at),
                "dataChange": True,
                "stats": json.dumps({"numRecords": part.rows}),
            }
        }


def _protocol(fields: str) -> JsonMapping:
    """The features that a reader needs: times without a zone are one."""
    if '"timestamp_ntz"' not in fields:
        return {"minReaderVersion": 1, "minWriterVersion": 2}
    features = ["timestampNtz"]
    return {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": features,
        "writerFeatures": features,
    }


def _field(name: str, dtype: pl.DataType) -> JsonMapping:
    return {"name": name, "type": _type(dtype), "nullable": True, "metadata": {}}


def _type(dtype: pl.DataType) -> str | JsonMapping:
    """Delta Lake's name of *dtype*. Raises KeyError."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        element = _type(inner if isinstance(inner, pl.DataType) else inner())
        return {"type": "array", "elementType": element, "containsNull": True}
    if isinstance(dtype, pl.Struct):
        inner_fields = pl.Schema([(it.name, it.dtype) for it in dtype.fields]).items()
        return {"type": "struct", "fields": [_field(*it) for it in inner_fields]}
    return _PRIMITIVES[dtype]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
