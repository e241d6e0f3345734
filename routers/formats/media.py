"""The formats of a table, their media types, and the choice by the Accept header."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

CSV_HEADER_PRESENT: Final = "text/csv; charset=utf-8; header=present"


class TableFormat(StrEnum):
    """A format, by the extension of its addresses and files."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """The Content-Type, with its parameters."""
        return CSV_HEADER_PRESENT if self is TableFormat.CSV else _MEDIA_TYPES[self]

    @property
    def is_download(self) -> bool:
        """True if a browser should save the answer rather than show it."""
        return self is not TableFormat.JSON


_MEDIA_TYPES: Final = {
    TableFormat.JSON: "application/json",
    TableFormat.CSV: "text/csv",
    TableFormat.NDJSON: "application/x-ndjson",
    TableFormat.XLSX: (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ),
    TableFormat.PARQUET: "application/vnd.apache.parquet",
}
"""Format -> media type without parameters. The first one is the default."""

_ALIASES: Final = {
    "application/ndjson": TableFormat.NDJSON,
    "application/jsonl": TableFormat.NDJSON,
    "application/x-parquet": TableFormat.PARQUET,
}


def media_type(table_format: TableFormat) -> str:
    """The media type without parameters, as OpenAPI documents name it."""
    return _MEDIA_TYPES[table_format]


def accepted_format(accept: Iterable[str]) -> TableFormat:
    """The format that the Accept headers prefer; JSON if they name none of ours.

    ``text/csv, application/json;q=0.5`` gives CSV, ``*/*`` and ``text/html`` JSON. Of
    equally preferred formats the one that comes first in the header is chosen.
    """
    best, best_quality = TableFormat.JSON, 0.0
    for name, quality in _ranges(accept):
        found = _format_of(name)
        if found is not None and quality > best_quality:
            best, best_quality = found, quality
    return best


def prefers_json(accept: Iterable[str]) -> bool:
    """True if the Accept headers name JSON, and no text that they prefer to it.

    For answers that are text by default, as ``*/*`` and no header at all ask for.
    """
    ranges = dict(_ranges(accept))
    text = (q for name, q in ranges.items() if name.startswith("text/"))
    return ranges.get(media_type(TableFormat.JSON), 0.0) >= max(text, default=0.001)


def _format_of(media_range: str) -> TableFormat | None:
    if media_range in ("*/*", "application/*"):
        return TableFormat.JSON
    if media_range == "text/*":
        return TableFormat.CSV
    by_name = {name: kind for kind, name in _MEDIA_TYPES.items()} | _ALIASES
    return by_name.get(media_range)


def _ranges(accept: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Media ranges in lower case with their quality from 0 to 1."""
    for item in ",".join(accept).split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = _quality(value.strip())
        yield name, quality


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
