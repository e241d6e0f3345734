"""Where events come from: spools in folders, collectors on other hosts, and Kafka."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from config import Settings
from events.spool_files import list_files
from events.spool_storage import shared_storage_of
from readmodel.spool.folder import FolderSpool
from updater import collector_status, kafka_status
from updater.doctor.check_result import CheckResult, failed, passed, warning
from updater.doctor.spool_folder import spool_folder_problem
from util.errors import FppError, SettingsError

LATE_SPOOL: Final = timedelta(minutes=5)
"""Age of a file of the spool at which nobody seems to take it."""


def check_spool(spool: FolderSpool) -> CheckResult:
    """Whether the updater can take files from a spool, and how many wait."""
    folder = spool.folder
    if not folder.exists():
        return warning(
            "SPOOL_DIR",
            f"{folder} does not exist yet: start the collector, or correct it",
        )
    if problem := spool_folder_problem(folder):
        return failed(
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
        return warning(
            "SPOOL_DIR",
            f"{text}, the oldest for {minutes:,.0f} minutes: is it drained?",
        )
    if kind := shared_storage_of(folder):
        return warning(
            "SPOOL_DIR",
            f"{text}; it is on {kind}: nothing shows from here whether fsync reaches "
            "the server's disk, see docs/events.md",
        )
    return passed("SPOOL_DIR", text)


def check_collectors(settings: Settings) -> Iterator[CheckResult]:
    """Whether the spools of collectors on other hosts can be pulled."""
    try:
        states = collector_status.collector_states(settings)
    except SettingsError as error:
        yield failed("collectors", str(error))
        return
    now = datetime.now(UTC)
    for state in states:
        text = collector_status.describe(state, now)
        if state.error is not None:
            yield failed("collectors", text)
        elif collector_status.is_late(state, now, LATE_SPOOL.total_seconds()):
            yield warning("collectors", f"{text}: is it drained?")
        else:
            yield passed("collectors", text)
    for url in collector_status.unsafe_addresses(settings):
        yield warning(
            "encryption",
            f"SPOOL_TOKEN and events travel to {url} in clear text: use https://",
        )


def check_topic(settings: Settings) -> CheckResult:
    """Whether the topic can be read on from where it was read to."""
    try:
        lags = kafka_status.lag(settings)
    except FppError as error:
        return failed("Kafka", str(error))
    return passed(
        "Kafka",
        f"{settings.kafka_topic} can be read, {sum(lags.values()):,} messages to go",
    )
