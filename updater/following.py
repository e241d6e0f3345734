"""`follow` and `restore`: snapshots of a replica into DATA_DIR, and their reports."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from config import Settings
from readmodel.replica.connect import open_storage
from readmodel.replica.download import DownloadReport, follow, restore
from readmodel.replica.transfer import utc_now
from readmodel.store import metrics
from readmodel.store.metrics import ReadModelCollector
from updater.command_line import FollowCommand, RestoreCommand
from updater.fault_reports import FaultReports
from updater.guarded import contained, guarded
from updater.replication import record_failure, require_url
from util.errors import ReplicaBusy
from util.logs import get_logger
from util.metrics import UpdaterMetrics
from util.sentry_wrapper import ErrorContext, Severity
from util.stopping import StopRequest

INTERVAL_SECONDS: Final = 10.0
"""Between two looks for a new snapshot, each of which is one small request."""

_log = get_logger("replica")


class Follower:
    """Downloads the replica's current snapshot whenever it is a new one."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        """Raises SettingsError."""
        self._settings = settings
        self._stop = stop
        self._url = require_url(settings)
        self._storage = open_storage(self._url)
        self._faults = FaultReports(ErrorContext("replica", "follow"), stop)

    def run_once(self) -> DownloadReport | None:
        """Download it, if it is new. Raises FppError."""
        report = follow(
            self._settings.data_dir,
            self._storage,
            self._url,
            self._settings.snapshot_retention,
            delta_logs=self._settings.delta_logs,
        )
        if report:
            guarded(_log_download, report, "follow")
        return report

    def run(self) -> bool:
        """The same; a failure is reported once, until a download succeeds.

        Raises Stopped and nothing else.
        """
        with contained(self._failed):
            try:
                self.run_once()
            except ReplicaBusy as error:
                _log.info(str(error), action="follow")
            else:
                self._succeeded()
        return self._faults.last is None

    def run_repeatedly(self, seconds: float) -> None:
        """Run every *seconds*, and serve the metrics, until a signal raises Stopped."""
        settings = self._settings
        served = UpdaterMetrics(
            ReadModelCollector(
                manifest=lambda: metrics.current_manifest(settings.data_dir),
                runs=lambda: metrics.run_summary(settings.data_dir),
                interval=lambda: settings.sync_interval_seconds,
                replica=lambda: metrics.replica_figures(settings.data_dir),
            )
        )
        with served.serving(settings.metrics_host, settings.metrics_port):
            while True:
                self._stop.check()
                self.run()
                time.sleep(seconds)

    def close(self) -> None:
        """Disconnect."""
        self._storage.close()

    def _succeeded(self) -> None:
        if self._faults.clear():
            _log.info("The replica is followed again", action="follow")

    def _failed(self, error: BaseException, severity: Severity) -> None:
        self._faults.add(error, severity)
        data_dir = self._settings.data_dir
        guarded(record_failure, data_dir, self._url, str(error), utc_now(), "follower")


def run_follow(
    settings: Settings, command: FollowCommand, stop: StopRequest
) -> Iterator[str]:
    """Follow the replica, once or repeatedly; say what was done. Raises FppError."""
    with closing(Follower(settings, stop)) as follower:
        if command.every is not None:
            follower.run_repeatedly(command.every or INTERVAL_SECONDS)
        report = follower.run_once()
        yield _line(report) if report else "DATA_DIR has the replica's snapshot already"


def run_restore(settings: Settings, command: RestoreCommand) -> Iterator[str]:
    """Fill an empty DATA_DIR from the replica; say what was done. Raises FppError."""
    url = require_url(settings)
    with closing(open_storage(url)) as storage:
        report = restore(
            settings.data_dir, storage, url, settings.snapshot_retention, command.as_of
        )
    guarded(_log_download, report, "restore")
    yield f"{_line(report)}; the next sync continues from it"


def _line(report: DownloadReport) -> str:
    return (
        f"Downloaded {report.bytes / 2**20:,.2f} MB in {report.files} files in "
        f"{report.seconds:.2f} s: snapshot {report.snapshot}"
    )


def _log_download(report: DownloadReport, action: str) -> None:
    _log.info(
        _line(report),
        action=action,
        snapshot=report.snapshot,
        files=report.files,
        bytes=report.bytes,
        ms=round(report.seconds * 1000),
    )
