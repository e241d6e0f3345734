"""The daily report: each day's figures, posted to the e-mail service at most once.

With REPORT_SENDER=updater, a day is reported after the first sync that covers all of it.
It is claimed in the ledger before the service is contacted; only a claim of which
certainly nothing was sent is released. So after a crash or a time-out nobody but a
person (`report --send-again`) causes a second post.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from prometheus_client import Counter

from config import Settings
from readmodel.store import snapshot
from readmodel.store.report_ledger import (
    DailyReport,
    ReportState,
    claimed,
    read_report,
)
from readmodel.store.snapshot import Snapshot
from readmodel.store.votes import open_votes
from readmodel.sync import report_claims
from updater.fault_reports import FaultReports
from updater.guarded import contained
from util.errors import (
    DeliveryError,
    DeliveryRefused,
    FppError,
    NotDelivered,
    SettingsError,
    SyncRunning,
)
from util.http_client import encode_daily, send_daily
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.setting_values import TableKey
from util.stopping import StopRequest

ONE_DAY: Final = timedelta(days=1)

MAX_LATE_DAYS: Final = 31
"""Days that are still reported after the updater did not run for long."""

NOT_DELIVERED: Final = "not_delivered"
"""Label of reports that could not be posted, and will be tried again."""

READ_TABLES: Final = ("fpp_votes", "fpp_page_views")

_log = get_logger("report")


def _now() -> datetime:
    return datetime.now(UTC)


def due_days(claimed_days: Collection[date], complete: date, limit: int) -> list[date]:
    """The days to report, in order, if *complete* is the last day that is over.

    Those after the last claimed day, at most the last *limit*; the first report ever is
    that of *complete* alone. Claims of the future, made by a wrong clock, do not count.
    """
    last = max((day for day in claimed_days if day <= complete), default=None)
    if last is None:
        return [complete]
    late = min((complete - last).days, limit)
    return [complete - ONE_DAY * back for back in reversed(range(late))]


class DailyReporter:
    """Posts the reports that are due, and reports what happened to them."""

    def __init__(
        self,
        settings: Settings,
        reports: Counter,
        stop: StopRequest,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Count in *reports*, by state.

        Raises SettingsError without an e-mail service, or without the tables.
        """
        self._settings = settings
        self._service = settings.require_email_service()
        _require_tables(settings.table_keys, settings.further_table_keys)
        self._stop = stop
        self._now = now
        self._faults = FaultReports(ErrorContext("updater", "report"), stop)
        self._reports = reports

    def run(self) -> bool:
        """Post the reports that are due; return True if all of them were accepted.

        Raises Stopped and nothing else.
        """
        with contained(self._faults.add):
            try:
                return self._send_due()
            except SyncRunning as error:
                _log.warning(str(error), action="report")
        return False

    def _send_due(self) -> bool:
        current = snapshot.current(self._settings.data_dir)
        zone = self._settings.timezone
        complete = current.taken_at.astimezone(zone).date() - ONE_DAY
        days = claimed(self._settings.data_dir)
        due = due_days(days, complete, MAX_LATE_DAYS)
        self._log_left_out(days, due)
        outcomes = [self.send(current, day, 1, "") for day in due]
        self._faults.clear()
        return all(state is ReportState.SENT for state in outcomes)

    def _log_left_out(self, days: Collection[date], due: list[date]) -> None:
        last = max((day for day in days if due and day < due[0]), default=None)
        if last is not None and due[0] - last > ONE_DAY:
            _log.warning(
                f"The reports of {last + ONE_DAY} to {due[0] - ONE_DAY} are not sent, "
                f"since they are more than {MAX_LATE_DAYS} days late; "
                "`update_readmodel.py report --day D --send-again` sends one",
                action="report",
            )

    def send_again(self, day: date, why: str) -> ReportState:
        """Post the report of *day* as another attempt, whatever became of the others.

        Raises FppError if nothing was sent, also for a day that is not over.
        """
        current = snapshot.current(self._settings.data_dir)
        if day >= current.taken_at.astimezone(self._settings.timezone).date():
            raise SettingsError(
                f"--day: {day} is not over in the read model, which is of "
                f"{current.taken_at:%Y-%m-%d %H:%M} UTC"
            )
        attempt = claimed(self._settings.data_dir).get(day, 0) + 1
        return self.send(current, day, attempt, why)

    def send(self, current: Snapshot, day: date, attempt: int, why: str) -> ReportState:
        """Claim one attempt, post the figures of *day*, and settle the claim.

        Raises NotDelivered if nothing was sent (the claim is released then), SyncRunning
        if another process claims or syncs, and StorageError.
        """
        self._stop.check()
        key = f"day/{day}" if attempt == 1 else f"day/{day}/{attempt}"
        report = DailyReport(
            day,
            attempt,
            self._now(),
            self._settings.idempotency_key(key),
            _body(current, day, self._settings),
            why,
        )
        data_dir = self._settings.data_dir
        if not report_claims.claim(data_dir, report):
            raise SyncRunning(f"Another process has just claimed the report of {day}")
        try:
            send_daily(
                self._service.base_url,
                self._service.key,
                report.body,
                report.idempotency_key,
            )
        except NotDelivered:
            self._reports.labels(NOT_DELIVERED).inc()
            report_claims.release(data_dir, report)
            raise
        except DeliveryError as error:
            self._settle(report, error)
            return _state_after(error)
        self._settle(report, None)
        return ReportState.SENT

    def _settle(self, report: DailyReport, error: DeliveryError | None) -> None:
        state = _state_after(error) if error else ReportState.SENT
        self._reports.labels(state).inc()
        if error is None:
            _log.info(f"The report of {report.day} was accepted", action="report")
        else:
            context = ErrorContext("updater", "report", {"day": f"{report.day}"})
            capture_error(error, context, Severity.HIGH)
        report_claims.settle(
            self._settings.data_dir, report, state, self._now(), str(error or "")
        )


def _require_tables(
    chosen: tuple[TableKey, ...] | None, further: tuple[TableKey, ...]
) -> None:
    names = {table.name for table in (*(chosen or ()), *further)}
    if chosen is not None and (missing := [t for t in READ_TABLES if t not in names]):
        raise SettingsError(
            f"REPORT_SENDER=updater needs the tables {' and '.join(READ_TABLES)}, but "
            f"TABLES does not mirror {' and '.join(missing)}"
        )


def _state_after(error: DeliveryError) -> ReportState:
    is_refused = isinstance(error, DeliveryRefused)
    return ReportState.REFUSED if is_refused else ReportState.UNKNOWN


def _body(current: Snapshot, day: date, settings: Settings) -> bytes:
    """The figures of *day* as the API computes them for a range of this one day."""
    # An updater that sends no reports needs neither.
    from calculations.comparison import collect_figures
    from calculations.daily import daily
    from calculations.period import DateRange, Period
    from calculations.results import Daily

    period = Period(
        settings.start_date,
        current.taken_at,
        settings.timezone,
        range=DateRange(day, day),
    )
    plan = daily(open_votes(current), current.visits("fpp_page_views"), period)
    return encode_daily(collect_figures(Daily, plan, None))


def describe_reports(settings: Settings, last: int) -> Iterator[str]:
    """Yield a line per report of the *last* days in the ledger, the newest first."""
    days = claimed(settings.data_dir)
    if not days:
        yield "No daily report was sent yet"
    for day in list(reversed(days))[:last]:
        for attempt in range(days[day], 0, -1):
            yield _describe(settings, day, attempt)


def _describe(settings: Settings, day: date, attempt: int) -> str:
    try:
        report = read_report(settings.data_dir, day, attempt)
    except FppError as error:
        return f"{day}  {error}"
    at = report.settled_at or report.claimed_at
    notes = "; ".join(text for text in (report.detail, report.why) if text)
    return f"{day}  {report.state:<8} {at:%Y-%m-%d %H:%M:%S} UTC  {notes}".rstrip()
