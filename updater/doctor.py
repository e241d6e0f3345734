"""Self-check of `update_readmodel.py doctor`: everything that a sync needs."""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from config import Settings
from events.spool_files import list_files
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.source.mysql.source import MysqlSource, MysqlView
from readmodel.source.postgres.source import PostgresSource, PostgresView
from readmodel.source.protocol import Source, View
from readmodel.spool.folder import FolderSpool, folder_spools
from readmodel.store import metrics, run_log, snapshot
from readmodel.sync.table_spec import table_spec
from readmodel.tables import Table
from sqlfiles.files import sql_files
from updater import collector_status, kafka_status, views
from updater.spool_checks import shared_storage_of, spool_folder_problem
from updater.status import view_lines
from util.access import parse_token
from util.confinement import confinement_of
from util.errors import FppError, SettingsError, SourceError, StorageError
from util.heartbeat import Heartbeat
from util.landlock import LandlockUnavailable
from util.probe import connection_problem
from util.sentry_wrapper import PRODUCTION

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
LATE_SPOOL: Final = timedelta(minutes=5)
"""Age of a file of the spool at which nobody seems to take it."""

LEAST_FREE_BYTES: Final = 50 * 2**20
COMFORTABLE_BYTES: Final = 2**30
SHORTEST: Final = 24
"""Characters of a token."""
FEWEST_CHARACTERS: Final = 6
"""Different characters of a token."""
READ_RIGHTS: Final = {"USAGE", "SELECT", "SHOW VIEW"}
"""What SHOW GRANTS lists for a user that can only read."""


class Outcome(Enum):
    """Result of one check; the value is the mark at the start of its line."""

    PASSED = "✓"
    WARNING = "!"
    FAILED = "✗"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line: the subject of a check, and what was found or is to be done."""

    outcome: Outcome
    name: str
    text: str

    @property
    def failed(self) -> bool:
        """True if a sync would fail."""
        return self.outcome is Outcome.FAILED

    def __str__(self) -> str:
        return f"{self.outcome.value} {self.name:<12} {self.text}"


def as_json(results: Sequence[CheckResult]) -> str:
    """One object: ``passed``, False if a sync would fail, and all ``checks``.

    Each has its ``name``, the ``outcome`` (passed, warning or failed) and the ``text``.
    """
    checks = [
        {"name": each.name, "outcome": each.outcome.name.lower(), "text": each.text}
        for each in results
    ]
    passed = not any(each.failed for each in results)
    return json.dumps({"passed": passed, "checks": checks}, ensure_ascii=False)


def _passed(name: str, text: str) -> CheckResult:
    return CheckResult(Outcome.PASSED, name, text)


def _warning(name: str, text: str) -> CheckResult:
    return CheckResult(Outcome.WARNING, name, text)


def _failed(name: str, text: str) -> CheckResult:
    return CheckResult(Outcome.FAILED, name, text)


def examine(settings: Settings) -> Iterator[CheckResult]:
    """Run every check; yield each result at once. The settings were read before."""
    yield _passed("settings", "can be read")
    yield from _database(settings)
    yield from _storage(settings.data_dir)
    yield from _views(settings)
    yield from _tokens(settings)
    if settings.sql_tokens or settings.jwt_query_roles:
        yield _queries(settings.data_dir)
    if settings.spool_dir:
        yield from map(_spool, folder_spools(settings.spool_dir))
    if settings.collector_urls:
        yield from _collectors(settings)
    if settings.kafka_bootstrap_servers:
        yield _kafka(settings)
    if settings.replica_url:
        yield _replica(settings.replica_url)
    if settings.engine_url:
        yield from examine_cluster(settings)
    yield _monitor(settings)
    yield _sentry(settings)


def _database(settings: Settings) -> Iterator[CheckResult]:
    try:
        source, tables = source_from_settings(settings), tables_from_settings(settings)
        with source.view(tables) as view:
            yield _passed("database", f"{source.name} answers")
            yield from _encryption(source)
            yield from _view(view, tables, settings.data_dir)
    except FppError as error:
        yield _failed("database", str(error))


def _encryption(source: Source) -> Iterator[CheckResult]:
    """Warn if nothing proves that a database on another host is the right one."""
    match source:
        case MysqlSource():
            address, is_known = source.address, source.ssl_ca or source.is_local
        case PostgresSource():
            address = f"{source.host}:{source.port}"
            is_known = source.is_verified or source.is_local
        case _:
            return
    if not is_known:
        yield _warning(
            "encryption",
            f"nothing proves that {address} is the database, so whoever answers in its "
            "place can read along: set DB_SSL_CA",
        )


def _view(view: View, tables: Sequence[Table], data_dir: Path) -> Iterator[CheckResult]:
    problems = [found for table in tables if (found := _table_problem(view, table))]
    yield from (_failed("tables", problem) for problem in problems)
    if not tables:
        yield _passed("tables", "no table is mirrored (TABLES=none)")
    elif not problems:
        yield _passed("tables", f"all {len(tables)} are there, with the columns needed")
    if hidden := [table.name for table in tables if _hides_columns(view, table)]:
        yield _warning(
            "columns",
            f"only some columns of {', '.join(hidden)} may be read, the others are not "
            "mirrored: grant SELECT on the whole table to mirror all of them",
        )
    match view:
        case MysqlView():
            yield _rights(view)
            yield _clock(view)
            yield _locks(data_dir)
        case PostgresView():
            yield from _postgres(view, tables)


def _locks(data_dir: Path) -> CheckResult:
    """How long a sync may block changes of a table's definition."""
    try:
        longest = run_log.read_log(data_dir)["milliseconds"].max()
    except StorageError:
        longest = None
    text = (
        "an ALTER, TRUNCATE or DROP TABLE waits while a sync reads that table, "
        "and so do writes behind it"
    )
    if not isinstance(longest, int):
        return _passed("locks", f"{text}; the first sync takes the longest")
    return _passed(
        "locks", f"{text}: at most {longest / 1000:.1f} s, the longest run in the log"
    )


def _table_problem(view: View, table: Table) -> str | None:
    try:
        table_spec(view, table)
    except SourceError as error:
        return str(error)
    return None


def _hides_columns(view: View, table: Table) -> bool:
    try:
        return view.hides_columns(table)
    except SourceError:
        return False  # the check of the tables has reported it


def _rights(view: MysqlView) -> CheckResult:
    granted = [bytes(row[0]).decode() for row in view.stream("SHOW GRANTS")]
    more = sorted({right for grant in granted for right in _beyond_reading(grant)})
    if not more:
        return _passed("rights", "SELECT only")
    return _warning(
        "rights",
        f"the user may do more than read ({', '.join(more)}): "
        "grant it SELECT on the mirrored tables and nothing else",
    )


def _beyond_reading(grant: str) -> set[str]:
    """Rights other than reading in a line of SHOW GRANTS.

    ``GRANT SELECT, INSERT (`a`) ON `d`.* TO …`` gives ``{"INSERT"}``.
    """
    rights = grant.partition("GRANT ")[2].partition(" ON ")[0]
    if not rights or " TO " in rights:  # a role; its rights have lines of their own
        return set()
    named = {right.partition("(")[0].strip() for right in _split_rights(rights)}
    extra = {"GRANT OPTION"} if "WITH GRANT OPTION" in grant else set()
    return (named - READ_RIGHTS) | extra


def _split_rights(rights: str) -> list[str]:
    """Split at commas, except those in brackets, which separate columns."""
    parts, depth = [""], 0
    for character in rights:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _clock(view: MysqlView) -> CheckResult:
    ((answer,),) = view.stream("SELECT UTC_TIMESTAMP(6)")
    theirs = datetime.fromisoformat(bytes(answer).decode()).replace(tzinfo=UTC)
    return _clock_difference(theirs)


def _clock_difference(theirs: datetime) -> CheckResult:
    difference = abs(datetime.now(UTC) - theirs)
    text = f"{difference.total_seconds():.1f} s apart from the database's clock"
    if difference <= CLOCK_TOLERANCE:
        return _passed("clock", text)
    return _warning(
        "clock",
        f"{text}: synchronise both clocks, or the last-24-hours figures will be wrong",
    )


def _postgres(view: PostgresView, tables: Sequence[Table]) -> Iterator[CheckResult]:
    status = view.status()
    if writable := [table.name for table in tables if view.may_write(table)]:
        yield _warning(
            "rights",
            f"{status.role} may do more than read {', '.join(writable)}: "
            "grant it SELECT on the mirrored tables and nothing else",
        )
    else:
        yield _passed("rights", "SELECT only")
    kind = "a standby" if status.is_standby else "a primary"
    yield _passed("server", f"PostgreSQL {status.version}, {kind}")
    if status.is_standby:
        yield _warning(
            "standby",
            "every sync digests all rows, and replay may cancel it: "
            "hot_standby_feedback = on keeps the rows that it reads",
        )
    if status.statement_timeout != "0":
        yield _warning(
            "timeout",
            f"statement_timeout is {status.statement_timeout}: "
            "a sync whose digest takes longer fails",
        )
    yield _clock_difference(status.clock)
    yield _passed("snapshot", f"was open for {view.seconds_open():.1f} s")


def _storage(data_dir: Path) -> Iterator[CheckResult]:
    existing = data_dir
    while not existing.exists():
        existing = existing.parent
    if existing != data_dir and os.access(existing, os.W_OK | os.X_OK):
        yield _passed("DATA_DIR", f"{data_dir} does not exist yet and can be created")
    elif problem := _folder_problem(data_dir):
        yield _failed(
            "DATA_DIR",
            f"{data_dir} {problem}: it must be a folder on a local file system, "
            "and this user must be its owner",
        )
    else:
        yield _passed("DATA_DIR", f"{data_dir} is writable and supports hard links")
    yield _space(data_dir, existing)


def _folder_problem(data_dir: Path) -> str | None:
    """Try to write a file and a hard link in a temporary folder."""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=data_dir) as folder:
            file = Path(folder) / "file"
            file.write_bytes(b"x")
            return _link_problem(file)
    except OSError as error:
        return f"cannot be written to ({error.strerror})"


def _link_problem(file: Path) -> str | None:
    try:
        file.with_name("link").hardlink_to(file)
    except OSError as error:
        return f"does not support hard links ({error.strerror})"
    return None


def _space(data_dir: Path, existing: Path) -> CheckResult:
    free = shutil.disk_usage(existing).free
    # A sync that rewrites everything needs room for a second copy.
    size = sum(table.bytes for table in snapshot.table_files(data_dir).values())
    needed = max(LEAST_FREE_BYTES, size)
    text = f"{free / 2**20:,.0f} MB free"
    if free < needed:
        return _failed("space", f"{text}, {needed / 2**20:,.0f} MB needed: make room")
    if free < COMFORTABLE_BYTES:
        return _warning("space", f"{text}: make room before the disk is full")
    return _passed("space", text)


def _views(settings: Settings) -> Iterator[CheckResult]:
    """Check the SQL files. A bad one fails no sync, so it is a warning."""
    if not sql_files(settings.views_dir):
        yield _passed("views", f"no SQL files in {settings.views_dir}")
        return
    try:
        catalogue = views.read_catalogue(settings)
    except (OSError, FppError) as error:
        yield _warning("views", f"VIEWS_DIR {settings.views_dir}: {error}")
        return
    yield from (_warning("views", str(error)) for error in catalogue.errors)
    counts = f"{len(catalogue.tables)} tables and {len(catalogue.reports)} reports"
    if idle := len(catalogue.unmirrored):
        counts += f", and {idle} definitions that read tables which TABLES leaves out,"
    yield _passed("views", f"{counts} in {settings.views_dir}")
    manifest = metrics.current_manifest(settings.data_dir)
    for line in view_lines(manifest):
        yield _warning("views", line.strip())


def _tokens(settings: Settings) -> Iterator[CheckResult]:
    """Warn of tokens that can be guessed, and of those that two callers share."""
    found = [parse_token(entry) for entry in settings.tokens]
    for token in found:
        if len(set(token.secret)) < FEWEST_CHARACTERS or len(token.secret) < SHORTEST:
            yield _warning(
                "tokens",
                f"{token.name} is weak: use at least {SHORTEST} random characters, "
                "such as the output of openssl rand -hex 24",
            )
    for secret, count in Counter(token.secret for token in found).items():
        if count > 1:
            names = ", ".join(t.name for t in found if t.secret == secret)
            yield _warning("tokens", f"{names} are equal: give each caller its own")


def _queries(data_dir: Path) -> CheckResult:
    """Whether the API can confine queries: it answers them with 503 otherwise."""
    try:
        found = confinement_of(data_dir)
    except (LandlockUnavailable, OSError) as error:
        return _warning(
            "SQL_TOKENS",
            f"queries are answered with 503: {error}. Use a kernel with Landlock, or "
            "mount DATA_DIR read-only for the API",
        )
    return _passed("SQL_TOKENS", f"queries are confined by {found.value}")


def _spool(spool: FolderSpool) -> CheckResult:
    """Whether the updater can take files from a spool, and how many wait."""
    folder = spool.folder
    if not folder.exists():
        return _warning(
            "SPOOL_DIR",
            f"{folder} does not exist yet: start the collector, or correct it",
        )
    if problem := spool_folder_problem(folder):
        return _failed(
            "SPOOL_DIR",
            f"{folder} {problem}: it must be a folder in which this user can read and "
            "remove files, on a local disk or a storage that has what docs/events.md "
            "requires",
        )
    files = list_files(folder)
    text = f"{folder} is writable, {len(files):,} files wait"
    oldest = min((file.modified_at for file in files), default=time.time())
    if time.time() - oldest > LATE_SPOOL.total_seconds():
        minutes = (time.time() - oldest) / 60
        return _warning(
            "SPOOL_DIR",
            f"{text}, the oldest for {minutes:,.0f} minutes: is it drained?",
        )
    if kind := shared_storage_of(folder):
        return _warning(
            "SPOOL_DIR",
            f"{text}; it is on {kind}: nothing shows from here whether fsync reaches "
            "the server's disk, see docs/events.md",
        )
    return _passed("SPOOL_DIR", text)


def _collectors(settings: Settings) -> Iterator[CheckResult]:
    """Whether the spools of collectors on other hosts can be pulled."""
    try:
        states = collector_status.collector_states(settings)
    except SettingsError as error:
        yield _failed("collectors", str(error))
        return
    now = datetime.now(UTC)
    for state in states:
        text = collector_status.describe(state, now)
        if state.error is not None:
            yield _failed("collectors", text)
        elif collector_status.is_late(state, now, LATE_SPOOL.total_seconds()):
            yield _warning("collectors", f"{text}: is it drained?")
        else:
            yield _passed("collectors", text)
    for url in collector_status.unsafe_addresses(settings):
        yield _warning(
            "encryption",
            f"SPOOL_TOKEN and events travel to {url} in clear text: use https://",
        )


def _kafka(settings: Settings) -> CheckResult:
    """Whether the topic can be read on from where it was read to."""
    try:
        lags = kafka_status.lag(settings)
    except FppError as error:
        return _failed("Kafka", str(error))
    return _passed(
        "Kafka",
        f"{settings.kafka_topic} can be read, {sum(lags.values()):,} messages to go",
    )


def _replica(url: str) -> CheckResult:
    """Try what an upload needs: a write that fails if the object is there."""
    from readmodel.replica.probe import examine_storage

    try:
        found = examine_storage(url)
    except FppError as error:
        return _failed("replica", str(error))
    return _passed("replica", found)


def examine_cluster(settings: Settings) -> Iterator[CheckResult]:
    """Each worker of the cluster: the API does without those with a problem."""
    from cluster.address import cluster_address
    from cluster.connection import ask_workers
    from readmodel.store.content import current_content

    try:
        content = current_content(settings.data_dir)
        workers = ask_workers(cluster_address(settings), content)
    except SettingsError as error:
        yield _failed("cluster", str(error))
        return
    except FppError as error:
        yield _warning("cluster", f"{error}; the API computes all answers itself")
        return
    if not workers:
        yield _warning("cluster", "the scheduler answers, but has no workers")
    for worker in workers:
        if worker.problem:
            yield _warning("cluster", f"worker {worker.address}: {worker.problem}")
        else:
            yield _passed("cluster", f"worker {worker.address} can run plans")


def _monitor(settings: Settings) -> CheckResult:
    url = settings.uptimekuma_push_url
    if url is None:
        return _warning(
            "UptimeKuma", "UPTIMEKUMA_PUSH_URL is not set: failures alert nobody"
        )
    try:
        Heartbeat(url.get_secret_value())
    except SettingsError as error:
        return _failed("UptimeKuma", str(error))
    if problem := connection_problem(url.get_secret_value()):
        return _warning("UptimeKuma", f"{problem}: check UPTIMEKUMA_PUSH_URL")
    return _passed("UptimeKuma", "its host answers; nothing was pushed")


def _sentry(settings: Settings) -> CheckResult:
    production = settings.sentry_environment.strip().lower() == PRODUCTION
    if not production or settings.dsn is None:
        return _warning(
            "Sentry", "not used: set SENTRY_DSN, and SENTRY_ENVIRONMENT=production"
        )
    if problem := connection_problem(settings.dsn):
        return _warning("Sentry", f"{problem}: check SENTRY_DSN")
    return _passed("Sentry", "its host answers; nothing was sent")
