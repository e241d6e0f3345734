"""Events and spools for tests."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config import Settings, load
from events.instants import microseconds
from events.lines import AcceptedLine
from events.spool_files import LINES_SUFFIX, file_name, list_files

TOKEN = "token-of-a-service-0123456789abcdef"
SECRET = "secret-of-the-issuer-0123456789abcdef"
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
"""When the events of `line` arrive."""


def collector_settings(spool_dir: Path, **settings: str) -> Settings:
    """Settings of a collector that knows TOKEN and SECRET."""
    return load({**collector_environ(spool_dir), **settings})


def collector_environ(spool_dir: Path) -> dict[str, str]:
    """The same as environment variables."""
    return {
        "SPOOL_DIR": str(spool_dir),
        "INGEST_TOKENS": TOKEN,
        "JWT_SECRET_KEY": SECRET,
    }


def spooled(folder: Path) -> list[dict[str, Any]]:
    """The events of all files of a spool, in order, each by itself."""
    return [
        event
        for file in list_files(folder)
        for line in (folder / file.name).read_text(encoding="utf-8").splitlines()
        for event in events_of(json.loads(line))
    ]


def events_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a line, whether it has one or several by columns."""
    if "events" not in line:
        return [line]
    columns = {**dict.fromkeys(AcceptedLine.__annotations__), **line}
    del columns["events"], columns["crc32"]
    return [
        {
            key: value[number] if isinstance(value, list) else value
            for key, value in columns.items()
        }
        for number in range(line["events"])
    ]


def line(event_id: str, content: int = 0, second: int = 0, **fields: Any) -> Any:
    """An accepted event that arrived *second* seconds after AT."""
    received = microseconds(AT) + second * 1_000_000
    return {
        "event_id": event_id,
        "name": "page_view",
        "at": received,
        "properties": "{}",
        "received_at": received,
        "sender": "token-1",
        "content_hash": content,
        "batch": "b1",
        **fields,
    }


def rejected_line(rejection_id: str, code: str = "name", **fields: Any) -> Any:
    """A dead letter that arrived at AT."""
    return {
        "rejection_id": rejection_id,
        "code": code,
        "message": "name is missing",
        "raw": "{}",
        "sender": "token-1",
        "received_at": microseconds(AT),
        "batch": "b1",
        **fields,
    }


def write_spool(
    folder: Path,
    lines: Iterable[Mapping[str, Any]],
    number: int = 1,
    instance: str = "20261121T100000000000-00000000",
) -> Path:
    """Write a complete file of the spool, with a line per event."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / file_name(instance, number, LINES_SUFFIX)
    file.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    return file
