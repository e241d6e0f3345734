"""The table formats in the OpenAPI document, and definitions from response models."""

from collections.abc import Iterable
from typing import Final

from pydantic import TypeAdapter

from routers.formats.answer import TRUNCATED
from routers.formats.media import TableFormat, media_type
from routers.formats.table import TableColumn
from routers.responses import DocumentedResponses
from util.json_types import JsonObject
from util.problems import Error

_DOCUMENT: Final[JsonObject] = {
    "type": "object",
    "required": ["title", "columns", "rows", "truncated"],
    "properties": {
        "title": {"type": "string"},
        "description": {"type": "string"},
        "columns": {
            "type": "array",
            "description": "The columns of the rows, in order.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "type": {"type": "string", "examples": ["integer"]},
                    "unit": {"type": "string", "examples": ["seconds"]},
                    "meaning": {"type": "string"},
                },
            },
        },
        "range": {
            "type": ["object", "null"],
            "description": "First and last day, `from` and `to`; null for all days.",
        },
        "zone": {
            "type": "string",
            "description": "IANA time zone in which days begin.",
        },
        "data_updated_at": {
            "type": ["string", "null"],
            "description": "The instant (UTC) of the data.",
        },
        "rows": {"type": "array", "items": {"type": "object"}},
        "truncated": {
            "type": "boolean",
            "description": "True if a limit left out further rows.",
        },
        "next": {
            "type": ["string", "null"],
            "description": "Address of the next page; null on the last one.",
        },
    },
}

_BINARY: Final = {"type": "string", "contentMediaType": "application/octet-stream"}

_SCHEMAS: Final[dict[TableFormat, JsonObject]] = {
    TableFormat.JSON: _DOCUMENT,
    TableFormat.CSV: {"type": "string"},
    TableFormat.NDJSON: {"type": "string"},
    TableFormat.XLSX: _BINARY,
    TableFormat.PARQUET: _BINARY,
}

_FAILURES: Final[DocumentedResponses] = {
    413: {
        "model": Error,
        "description": "A workbook cannot hold so many rows; use another format.",
    },
}


def table_responses(
    formats: Iterable[TableFormat] = TableFormat,
    description: str = "The rows, in the format by extension or Accept.",
) -> DocumentedResponses:
    """The 200 with a table in *formats*, and the errors of tables."""
    content = {media_type(f): {"schema": _SCHEMAS[f]} for f in formats}
    headers = {
        TRUNCATED: {
            "description": "What the answer lacks: `rows`, or `texts=3`.",
            "schema": {"type": "string"},
        }
    }
    found = {"description": description, "content": content, "headers": headers}
    return {200: found, **_FAILURES}


def also_as_table() -> DocumentedResponses:
    """What Accept adds to a 200 that is documented by a model: the other formats."""
    documented = table_responses(f for f in TableFormat if f is not TableFormat.JSON)
    documented[200]["description"] = "As JSON, or as a table in the format by Accept."
    return documented


def columns_of(model: type) -> tuple[TableColumn, ...]:
    """The fields of a response model as columns, with their published descriptions."""
    fields = TypeAdapter(model).json_schema()["properties"].items()
    return tuple(TableColumn(name, it.get("description", "")) for name, it in fields)
