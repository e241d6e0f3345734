"""`update_readmodel.py doctor`: all that a sync needs, checked one by one."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from config import Settings
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.source.mysql.source import MysqlView
from readmodel.source.protocol import View
from readmodel.store import snapshot
from readmodel.sync.table_spec import table_spec
from readmodel.tables import Table
from util.errors import FppError, SettingsError, SourceError
from util.heartbeat import Heartbeat
from util.reach import unreachable
from util.sentry_wrapper import PRODUCTION

CLOCKS_DIFFER: Final = timedelta(seconds=5)
LEAST_FREE_BYTES: Final = 50 * 2**20
COMFORTABLE_BYTES: Final = 2**30
# What SHOW GRANTS may list for a user that can only read.
READING: Final = {"USAGE", "SELECT", "SHOW VIEW"}


class Verdict(Enum):
    """What a check found; the value is the mark in front of its line."""

    GOOD = "✓"
    WARNING = "!"
    STOPS = "✗"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was checked, and what was found or is to be done."""

    verdict: Verdict
    name: str
    text: str

    @property
    def stops(self) -> bool:
        """Whether a sync would fail for it."""
        return self.verdict is Verdict.STOPS

    def __str__(self) -> str:
        return f"{self.verdict.value} {self.name:<12} {self.text}"


def good(name: str, text: str) -> Check:
    return Check(Verdict.GOOD, name, text)


def warning(name: str, text: str) -> Check:
    return Check(Verdict.WARNING, name, text)


def stops(name: str, text: str) -> Check:
    return Check(Verdict.STOPS, name, text)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, as soon as it is done; the settings could be read already."""
    yield good("settings", "can be read")
    yield from _database(settings)
    yield from _storage(settings.data_dir)
    yield _monitor(settings)
    yield _sentry(settings)


def _database(settings: Settings) -> Iterator[Check]:
    try:
        source, tables = source_from_settings(settings), tables_from_settings(settings)
        with source.view() as view:
            yield good("database", f"{source.name} answers")
            yield from _view(view, tables)
    except FppError as error:
        yield stops("database", str(error))


def _view(view: View, tables: Sequence[Table]) -> Iterator[Check]:
    wrong = [reason for table in tables if (reason := _lacks(view, table))]
    yield from (stops("tables", reason) for reason in wrong)
    if not wrong:
        yield good("tables", f"all {len(tables)} are there, with the columns needed")
    if isinstance(view, MysqlView):
        yield _rights(view)
        yield _clock(view)


def _lacks(view: View, table: Table) -> str | None:
    try:
        table_spec(view, table)
    except SourceError as error:
        return str(error)
    return None


def _rights(view: MysqlView) -> Check:
    granted = [bytes(row[0]).decode() for row in view.stream("SHOW GRANTS")]
    more = sorted({right for grant in granted for right in _beyond_reading(grant)})
    if not more:
        return good("rights", "SELECT only")
    return warning(
        "rights",
        f"the user may do more than read ({', '.join(more)}): "
        "give it SELECT on the six tables and nothing else",
    )


def _beyond_reading(grant: str) -> set[str]:
    """The rights in a line like ``GRANT SELECT, INSERT (`a`) ON `d`.* TO …``."""
    rights = grant.partition("GRANT ")[2].partition(" ON ")[0]
    if not rights or " TO " in rights:  # a role, whose own rights are listed as well
        return set()
    named = {right.partition("(")[0].strip() for right in _outside_brackets(rights)}
    extra = {"GRANT OPTION"} if "WITH GRANT OPTION" in grant else set()
    return (named - READING) | extra


def _outside_brackets(rights: str) -> list[str]:
    """*rights* at the commas that do not separate columns."""
    parts, depth = [""], 0
    for character in rights:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _clock(view: MysqlView) -> Check:
    ((told,),) = view.stream("SELECT UTC_TIMESTAMP(6)")
    there = datetime.fromisoformat(bytes(told).decode()).replace(tzinfo=UTC)
    apart = abs(datetime.now(UTC) - there)
    text = f"{apart.total_seconds():.1f} s apart from the database's"
    if apart <= CLOCKS_DIFFER:
        return good("clock", text)
    return warning("clock", f"{text}: synchronise both, or the last 24 hours are not")


def _storage(data_dir: Path) -> Iterator[Check]:
    place = data_dir
    while not place.exists():
        place = place.parent
    if place != data_dir and os.access(place, os.W_OK | os.X_OK):
        yield good("DATA_DIR", f"{data_dir} is not there yet and can be made")
    elif reason := _refuses(data_dir):
        yield stops(
            "DATA_DIR",
            f"{data_dir} {reason}: it must be a folder on a local file system, "
            "and this user must be its owner",
        )
    else:
        yield good("DATA_DIR", f"{data_dir} can be written to and takes hard links")
    yield _space(data_dir, place)


def _refuses(data_dir: Path) -> str | None:
    """What cannot be done in the folder; what was tried is removed again."""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=data_dir) as folder:
            file = Path(folder) / "file"
            file.write_bytes(b"x")
            return _cannot(lambda: os.link(file, Path(folder) / "link"), "hard links")
    except OSError as error:
        return f"cannot be written to ({error.strerror})"


def _cannot(attempt: Callable[[], None], what: str) -> str | None:
    try:
        attempt()
    except OSError as error:
        return f"does not take {what} ({error.strerror})"
    return None


def _space(data_dir: Path, place: Path) -> Check:
    free = shutil.disk_usage(place).free
    # A sync that has to write everything anew does so beside what is there.
    there = sum(table.bytes for table in snapshot.held(data_dir).values())
    needed = max(LEAST_FREE_BYTES, there)
    text = f"{free / 2**20:,.0f} MB free"
    if free < needed:
        return stops("space", f"{text}, {needed / 2**20:,.0f} MB needed: make room")
    if free < COMFORTABLE_BYTES:
        return warning("space", f"{text}: make room before it is full")
    return good("space", text)


def _monitor(settings: Settings) -> Check:
    url = settings.uptimekuma_push_url
    if url is None:
        return warning("UptimeKuma", "UPTIMEKUMA_PUSH_URL is not set: nobody is told")
    try:
        Heartbeat(url.get_secret_value())
    except SettingsError as error:
        return stops("UptimeKuma", str(error))
    if reason := unreachable(url.get_secret_value()):
        return warning("UptimeKuma", f"{reason}: check UPTIMEKUMA_PUSH_URL")
    return good("UptimeKuma", "its host answers; nothing was pushed")


def _sentry(settings: Settings) -> Check:
    production = settings.sentry_environment.strip().lower() == PRODUCTION
    if not production or settings.dsn is None:
        return warning(
            "Sentry", "not used: set SENTRY_DSN, and SENTRY_ENVIRONMENT=production"
        )
    if reason := unreachable(settings.dsn):
        return warning("Sentry", f"{reason}: check SENTRY_DSN")
    return good("Sentry", "its host answers; nothing was sent")
