"""Uploads of snapshots to the replica, beside the syncs, and their reports.

A failure fails no sync. It is reported once, until an upload succeeds, and the next
upload sends what is missing.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from config import Settings
from readmodel.replica.collect import EVERY, ReplicaCollector
from readmodel.replica.connect import open_storage
from readmodel.replica.transfer import read_pointer, utc_now, write_state
from readmodel.replica.upload import UploadReport, is_behind, upload
from readmodel.store.replica_state import ReplicaState, read_state
from readmodel.store.snapshot import CURRENT
from updater.fault_reports import FaultReports
from updater.guarded import contained, guarded
from util.errors import (
    ReplicaBusy,
    ReplicaConflict,
    ReplicaError,
    SettingsError,
)
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity
from util.stopping import StopRequest

POLL_SECONDS: Final = 1.0
"""Time between two looks at where `current` points."""

LONGEST_PAUSE_SECONDS: Final = 60.0
"""After failures; the first pause is POLL_SECONDS, each later one twice as long."""

JOIN_SECONDS: Final = 2.0
"""How long a program that ends waits for an upload, which can be cut off anywhere."""

_log = get_logger("replica")


def require_url(settings: Settings) -> str:
    """REPLICA_URL. Raises SettingsError without it."""
    if settings.replica_url is None:
        raise SettingsError(
            "REPLICA_URL is missing: set it to the place of the replica, as in "
            "s3://bucket/folder"
        )
    return settings.replica_url


class Replication:
    """Uploads the current snapshot whenever it is a new one."""

    def __init__(
        self,
        settings: Settings,
        stop: StopRequest,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Raises SettingsError."""
        self._data_dir = settings.data_dir
        self._url = require_url(settings)
        self._retention = settings.replica_retention
        self._now = now
        self._faults = FaultReports(ErrorContext("replica", "upload"), stop)
        self._storage = open_storage(self._url)
        self._collector = ReplicaCollector(self._storage)

    def run(self) -> bool:
        """Upload the current snapshot if it is new; return True if nothing is missing.

        Raises Stopped and nothing else.
        """
        with contained(self._failed):
            try:
                return self._upload()
            except ReplicaBusy as error:
                _log.info(str(error), action="upload")
        return False

    def _upload(self) -> bool:
        if is_behind(self._data_dir, self._url):
            report = upload(
                self._data_dir, self._storage, self._url, self._retention, self._now
            )
            guarded(self._succeeded, report)
            guarded(self._collect)
        return not is_behind(self._data_dir, self._url)

    def require_restored(self) -> None:
        """Raise ReplicaConflict if DATA_DIR is empty, and the replica is not.

        A sync would begin another read model, and take events that a restore would then
        remove. A storage that does not answer is waited for, and then ignored.
        """
        if os.path.lexists(self._data_dir / CURRENT):
            return
        try:
            pointer, _ = read_pointer(self._storage)
        except ReplicaError as error:
            _log.warning(f"The replica cannot be read: {error}", action="upload")
            return
        if pointer:
            raise ReplicaConflict(
                f"DATA_DIR {self._data_dir} is empty, and {self._url} has a replica with "
                f"the snapshot {pointer.current}: run `update_readmodel.py restore` "
                "first, or name another REPLICA_URL to begin anew"
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Upload on a thread of its own during the block."""
        ended = threading.Event()
        thread = threading.Thread(
            target=self._repeat, args=(ended,), name="replication", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(JOIN_SECONDS)

    def close(self) -> None:
        """Disconnect."""
        self._storage.close()

    def _repeat(self, ended: threading.Event) -> None:
        pause, uploaded = POLL_SECONDS, None
        while not ended.wait(pause):
            current = _link(self._data_dir)
            if current == uploaded:
                continue
            if self.run():
                pause, uploaded = POLL_SECONDS, current
            else:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _succeeded(self, report: UploadReport | None) -> None:
        if self._faults.clear():
            _log.info("The replica is written again", action="upload")
        if report:
            _log.info(
                f"Uploaded {report.bytes / 2**20:,.2f} MB in {report.files} files to "
                f"{self._url} in {report.seconds:.2f} s: snapshot {report.snapshot}",
                action="upload",
                snapshot=report.snapshot,
                files=report.files,
                bytes=report.bytes,
                ms=round(report.seconds * 1000),
            )

    def _failed(self, error: BaseException, severity: Severity) -> None:
        self._faults.add(error, severity)
        guarded(record_failure, self._data_dir, self._url, str(error), self._now())

    def _collect(self) -> None:
        """Remove what no snapshot of the replica needs, once an hour."""
        state, now = read_state(self._data_dir), self._now()
        if state is None or state.token is None:
            return
        if state.collected_at and now - state.collected_at < EVERY:
            return
        found = self._collector.collect(state.token)
        state = replace(state, collected_at=now)
        if found.missing:
            _log.error(
                f"{found.missing} objects of the current snapshot are missing in "
                f"{self._url}, as if somebody else removed them: they are uploaded again",
                action="collect",
            )
            state = replace(state, snapshot=None, objects={})
        write_state(self._data_dir, state)
        if found.removed:
            _log.info(
                f"Removed {found.removed} objects from {self._url}", action="collect"
            )


def _link(data_dir: Path) -> str | None:
    """Where `current` points; None without it."""
    try:
        return str((data_dir / CURRENT).readlink())
    except OSError:
        return None


def record_failure(
    data_dir: Path,
    url: str,
    reason: str,
    now: datetime,
    role: Literal["writer", "follower"] = "writer",
) -> None:
    """Note for `status` and the metrics that the replica at *url* cannot be used."""
    state = read_state(data_dir) or ReplicaState(url, role)
    if state.url != url:
        return  # It is about another replica, which may still be needed.
    since = state.failing_since or now
    write_state(data_dir, replace(state, failing_since=since, failed_because=reason))
