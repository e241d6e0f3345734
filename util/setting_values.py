"""Values of settings: the texts that variables of the environment may have.

Lists, tables, addresses, durations and names; each function raises ValueError with the
form that it expects.
"""

import csv
import io
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError, ValidatorFunctionWrapHandler


class TableKey(NamedTuple):
    """A table that the settings name, and its sync column."""

    name: str
    key: str

    def __str__(self) -> str:
        return f"{self.name}:{self.key}"


NO_TABLES: Final = "none"
"""The value of TABLES that mirrors no table."""

LONGEST_TABLE_NAME: Final = 200
"""In bytes of UTF-8; / % and . count three times, since a file name has them escaped."""

_TABLES_FORM = (
    "name each table with its sync column, as in orders:id,customers:created_at, and "
    'quote what contains a comma, a colon or a quote, as in "a,b":id'
)


def parse_tables(text: str) -> tuple[TableKey, ...]:
    """Parse a list such as ``orders:id,"a,b":id``, quoted as in CSV.

    Raises ValueError for a malformed list, and for a table that is named twice.
    """
    # Every second piece is outside of quotes. There, commas become the ends of CSV's
    # lines, and colons its separators.
    pieces = text.strip().removesuffix(",").rstrip().split('"')
    for index in range(0, len(pieces), 2):
        lines = re.sub(r"\s*,\s*", "\n", pieces[index])
        pieces[index] = re.sub(r"[ \t]*:[ \t]*", ",", lines)
    try:
        rows = list(csv.reader(io.StringIO('"'.join(pieces), newline=""), strict=True))
    except csv.Error:
        raise ValueError(f"quotes do not match; {_TABLES_FORM}") from None
    for row in rows:
        if len(row) != len(TableKey._fields) or not all(row):
            raise ValueError(f"{':'.join(row)!r} is not table:column; {_TABLES_FORM}")
    return _checked_names([TableKey(*row) for row in rows])


def _checked_names(entries: list[TableKey]) -> tuple[TableKey, ...]:
    named: dict[str, TableKey] = {}
    for entry in entries:
        if "\0" in f"{entry}" or not _fits_in_a_path(entry.name):
            raise ValueError(
                f"{entry.name!r} cannot name a table: use at most "
                f"{LONGEST_TABLE_NAME} bytes of UTF-8 without NUL (/ % . count as 3)"
            )
        if earlier := named.get(entry.name):
            raise ValueError(f"{entry.name} is named twice: {earlier} and {entry}")
        named[entry.name] = entry
    return tuple(entries)


def _fits_in_a_path(name: str) -> bool:
    with suppress(UnicodeEncodeError):
        return len(re.sub("[/%.]", "___", name).encode()) <= LONGEST_TABLE_NAME
    return False


def valid_tables(text: str | None) -> str | None:
    """Return *text* if `parse_tables` accepts it."""
    if text is not None:
        parse_tables(text)
    return text


def valid_table_choice(text: str | None) -> str | None:
    """Return *text* if it is NO_TABLES or a list of tables."""
    if text is not None and text.strip().lower() == NO_TABLES:
        return NO_TABLES
    if text is not None and not parse_tables(text):
        raise ValueError(f"{_TABLES_FORM}; {NO_TABLES} mirrors no table")
    return text


def listed(text: str | None) -> tuple[str, ...]:
    """The values of a comma-separated list, without blanks: ``a, b,`` has a and b."""
    return tuple(item.strip() for item in (text or "").split(",") if item.strip())


def split_url(url: str) -> SplitResult:
    """The parts of *url*, all of them empty if it is malformed.

    That is reported, with the variable's name, where the URL is used.
    """
    with suppress(ValueError):
        return urlsplit(url)
    return urlsplit("")


def valid_level(name: str) -> str:
    """Return *name* in capitals if it is a level of the log. Raises ValueError."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if name.upper() not in levels:
        raise ValueError(f"use one of {', '.join(levels)}")
    return name.upper()


def parse_duration(text: object) -> object:
    """Parse ``10m``, ``24h`` or ``30d``. Raises ValueError for other texts."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text.strip())
    if match is None:
        raise ValueError(
            "use a number of minutes, hours or days, as in 10m, 24h or 30d"
        )
    return int(match[1]) * _UNITS[match[2]]


_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def parse_metric_names(text: str) -> dict[str, str]:
    """Parse ``events_total=fpp_events_stored_total,…``: further names -> names.

    Raises ValueError for a malformed list, and for a further name given twice.
    """
    found: dict[str, str] = {}
    for entry in listed(text):
        further, _, name = (part.strip() for part in entry.partition("="))
        if not (_METRIC_NAME.fullmatch(further) and _METRIC_NAME.fullmatch(name)):
            raise ValueError(f"{entry!r} is not OTHER_NAME=NAME of a metric")
        if further in found:
            raise ValueError(f"{further} is named twice")
        found[further] = name
    return found


_METRIC_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


def valid_metric_names(text: str | None) -> str | None:
    """Return *text* if `parse_metric_names` accepts it."""
    parse_metric_names(text or "")
    return text


def valid_path_prefix(path: str) -> str:
    """Return *path*, without a slash at its end, if it can begin a path."""
    path = path.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("use a path such as /api/analytics")
    return path


def calendar_day(text: object, parse: ValidatorFunctionWrapHandler) -> Any:
    """Parse a day; say its form if it has another one. Raises ValueError."""
    try:
        return parse(text)
    except ValidationError:
        raise ValueError("use YYYY-MM-DD, as in 2024-06-03") from None


def valid_replica_url(url: str | None) -> str | None:
    """Return *url* if it names a place in an object storage, or a folder."""
    parts = split_url(url) if url else None
    if parts is None:
        return url
    is_folder = (
        parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc
    )
    is_bucket = parts.scheme in ("s3", "gs", "az") and parts.netloc
    if "@" in parts.netloc or parts.query or not (is_folder or is_bucket):
        raise ValueError(
            "use s3://bucket/folder, gs://bucket/folder, az://container/folder or "
            "file:///folder; credentials are set in the environment"
        )
    return url.rstrip("/") if url else url


def parse_addresses(text: str) -> tuple[str, ...]:
    """Parse a list of addresses of HTTP such as ``https://c1:8001,https://c2:8001``.

    Raises ValueError for a malformed one, and for one that is named twice.
    """
    found = [url.rstrip("/") for url in listed(text)]
    for url in found:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("use addresses such as https://collector-1.internal:5200")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("an address has no credentials, no ? and no #")
    if len(set(found)) < len(found):
        raise ValueError("an address is named twice")
    return tuple(found)


def valid_addresses(text: str | None) -> str | None:
    """Return *text* if `parse_addresses` accepts it."""
    parse_addresses(text or "")
    return text


def valid_engine_url(url: str | None) -> str | None:
    """Return *url* if it names the scheduler of a cluster. Raises ValueError."""
    parts = split_url(url) if url else None
    if parts is None:
        return url
    if parts.scheme == "polars":
        raise ValueError(
            "polars:// needs the package polars-cloud for the Polars that is installed, "
            "a cluster of Polars, and DATA_DIR at the same path on its workers, and no "
            "polars-cloud supports Polars 2.1 yet: use dask://host:port"
        )
    if (
        parts.scheme not in ("dask", "tls")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.path.rstrip("/")
        or parts.query
        or not _has_possible_port(parts)
    ):
        raise ValueError("use dask://host:port, or tls://host:port")
    return url


def _has_possible_port(parts: SplitResult) -> bool:
    with suppress(ValueError):
        return parts.port != 0
    return False


def at_least_an_hour(retention: timedelta) -> timedelta:
    """Return *retention* if a follower has the time to download a snapshot."""
    if retention < timedelta(hours=1):
        raise ValueError("use at least 1h")
    return retention


def valid_installation(name: str) -> str:
    """Return *name* if it can be part of an HTTP header."""
    if not re.fullmatch(r"[!-~]{1,100}", name):
        raise ValueError(
            "use at most 100 letters, digits and signs of ASCII, no blanks"
        )
    return name
