"""The updater: mirror the database into DATA_DIR, once or repeatedly.

python update_readmodel.py            one sync; exit code 0, or 1 with the reason
python update_readmodel.py --every    one sync every SYNC_INTERVAL_SECONDS
python update_readmodel.py status     show the read model's tables and the last runs
python update_readmodel.py verify     compare the read model with the database
python update_readmodel.py doctor     check everything that a sync needs
python update_readmodel.py views      list and check the SQL files; plan or test changes
python update_readmodel.py replay     check rejected events again
python update_readmodel.py retention  remove events that are too old
python update_readmodel.py forget     remove all events of a user
python update_readmodel.py kafka      show how far the topic was read, or read it again
python update_readmodel.py report     show the daily reports that were sent; send one again
python update_readmodel.py follow     download new snapshots of the replica, on another host
python update_readmodel.py restore    fill an empty DATA_DIR from the replica
"""

import os

from util import allocator, program_start

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_SYNCS)
if allocator.ARENAS_VARIABLE not in os.environ:
    allocator.share_one_arena()

# isort: split
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

import startup
from config import Settings
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.store.report_ledger import ReportState
from readmodel.tables import Table
from updater import command_line
from updater.command_line import (
    Command,
    DoctorCommand,
    FollowCommand,
    ForgetCommand,
    KafkaCommand,
    ReplayCommand,
    ReportCommand,
    RestoreCommand,
    RetentionCommand,
    StatusCommand,
    SyncCommand,
    VerifyCommand,
    ViewsCommand,
)
from updater.runner import Runner
from util import sentry_wrapper, telemetry
from util.errors import FppError, SettingsError, Stopped
from util.logs import get_logger
from util.metrics import UpdaterMetrics
from util.output import run_command
from util.redaction import redact
from util.stopping import StopRequest

program_start.finish()

if TYPE_CHECKING:
    from updater.event_intakes import EventIntakes
    from updater.replication import Replication

SERVICE = "fpp-analytics-updater"

_log = get_logger("updater")

INTERRUPTED = 130
"""Exit code after Ctrl-C, as of shells: a command that follows must not start."""

FAILURES = {
    SyncCommand: "The sync failed",
    StatusCommand: "The status cannot be shown",
    VerifyCommand: "The read model cannot be verified",
    DoctorCommand: "The checks cannot be run",
    ViewsCommand: "The SQL files cannot be examined",
    ReplayCommand: "The dead letters cannot be replayed",
    RetentionCommand: "The retention failed",
    ForgetCommand: "The user cannot be forgotten",
    KafkaCommand: "The position in Kafka cannot be shown or changed",
    ReportCommand: "The report was not sent",
    FollowCommand: "The replica cannot be followed",
    RestoreCommand: "The read model cannot be restored",
}
"""Beginning of the error message of each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 1 if it failed or found a problem."""
    command = command_line.parse(sys.argv[1:] if arguments is None else arguments)
    stop = StopRequest()
    stop.listen()
    try:
        return _run(command, startup.load_settings(), stop)
    except Stopped as stopped:
        _print(str(stopped))
        return INTERRUPTED if stop.is_interrupt else 0
    except FppError as error:
        message = redact(f"{FAILURES[type(command)]}: {error}")
        print(message, file=sys.stderr, flush=True)
        return 1
    finally:
        telemetry.shutdown()
        sentry_wrapper.flush()


def _run(command: Command, settings: Settings, stop: StopRequest) -> int:
    match command:
        case SyncCommand():
            return _sync(settings, command, stop)
        case StatusCommand():
            return _status(settings, command)
        case VerifyCommand():
            return _verify(settings, command)
        case DoctorCommand():
            return _doctor(settings, command)
        case ViewsCommand():
            return _views(settings, command)
        case ReplayCommand() | RetentionCommand() | ForgetCommand():
            return _change_events(settings, command)
        case KafkaCommand():
            return _kafka(settings, command)
        case ReportCommand():
            return _report(settings, command, stop)
        case FollowCommand() | RestoreCommand():
            return _download(settings, command, stop)


def _sync(settings: Settings, options: SyncCommand, stop: StopRequest) -> int:
    startup.start(SERVICE, settings)
    only = [table.name for table in _tables(settings, options.tables)]
    runner = Runner(
        settings,
        source_from_settings(settings),
        full=options.full,
        only=only if options.tables else None,
        stop=stop,
    )
    events = _event_intakes(settings, runner, stop)
    if events:
        runner.use_pauses(events.run_for)
    try:
        return _run_syncs(settings, options, runner, stop, events)
    finally:
        if events:
            events.close()


def _run_syncs(
    settings: Settings,
    options: SyncCommand,
    runner: Runner,
    stop: StopRequest,
    events: "EventIntakes | None",
) -> int:
    run = _with_report(settings, runner, stop)
    replication = _replication(settings, stop)
    if options.every is None:
        succeeded = (events.run_to_end(), run()) if events else (run(),)
        if replication:
            replication.run()  # The sync has succeeded or failed without it.
        return 0 if all(succeeded) else 1
    seconds = options.every or settings.sync_interval_seconds
    with (
        runner.metrics.serving(settings.metrics_host, settings.metrics_port),
        replication.running() if replication else nullcontext(),
    ):
        _repeat(run, seconds, stop, events)
    return 0


def _replication(settings: Settings, stop: StopRequest) -> "Replication | None":
    """What uploads snapshots; None without a replica. Raises SettingsError."""
    if settings.replica_url is None:
        return None
    from updater.replication import Replication  # Nobody else needs it.

    replication = Replication(settings, stop)
    replication.require_restored()
    return replication


def _with_report(
    settings: Settings, runner: Runner, stop: StopRequest
) -> Callable[[], bool]:
    """The function that syncs and then posts the daily reports that are due.

    Raises SettingsError if the updater is to post them and cannot.
    """
    if settings.report_sender != "updater":
        return runner.run
    from updater.daily_report import DailyReporter  # Nobody else needs it.

    reporter = DailyReporter(settings, runner.metrics.daily_reports, stop)
    return lambda: runner.run() and reporter.run()


def _event_intakes(
    settings: Settings, runner: Runner, stop: StopRequest
) -> "EventIntakes | None":
    """What takes events from spools and from Kafka; None without either."""
    if not settings.takes_events:
        return None
    from updater.event_intakes import EventIntakes  # Nobody else needs it.

    return EventIntakes(settings, runner.metrics.registry, stop)


def _repeat(
    run: Callable[[], object],
    seconds: float,
    stop: StopRequest,
    events: "EventIntakes | None" = None,
) -> None:
    """Run at once and then every *seconds*, until a signal raises Stopped.

    In the pauses, and before each run, *events* are taken.
    """
    began = time.time()
    for pause in _pauses(seconds, time.monotonic):
        stop.check()
        if events is None:
            time.sleep(pause)
        else:
            events.run_for(pause)
        run()
        _log.info(
            f"Next sync at {_next_start(seconds, began, time.time()):%H:%M:%S} UTC"
        )


def _next_start(seconds: float, began: float, now: float) -> datetime:
    """The next multiple of *seconds* since *began*, as in `_pauses`."""
    return datetime.fromtimestamp(now + seconds - (now - began) % seconds, UTC)


def _pauses(seconds: float, clock: Callable[[], float]) -> Iterator[float]:
    """Yield the pause before each run; runs start at multiples of *seconds*.

    A run that takes longer than *seconds* skips the starts that it missed.
    """
    start = clock()
    yield 0.0
    while True:
        yield seconds - (clock() - start) % seconds


def _tables(settings: Settings, names: Sequence[str] | None) -> list[Table]:
    """Return the tables called *names*, or all. Raises SettingsError for others."""
    tables = {table.name: table for table in tables_from_settings(settings)}
    if unknown := set(names or ()) - set(tables):
        raise SettingsError(
            f"--tables names {', '.join(sorted(unknown))}, which is not mirrored: "
            f"there are {', '.join(sorted(tables)) or 'no tables'}; SYNC_TABLES adds "
            "further ones"
        )
    return [tables[name] for name in names or tables]


def _verify(settings: Settings, options: VerifyCommand) -> int:
    from readmodel.sync.verify import verify
    from readmodel.sync.verify_audit import verify_audit
    from updater import status

    tables = _tables(settings, options.tables)
    format_verdict = status.verdict_json if options.json else status.verdict_lines
    verdicts = verify(source_from_settings(settings), settings.data_dir, tables)
    if options.tables is None:
        verdicts = chain(verify_audit(settings.data_dir), verdicts)
    equal = True
    for verdict in verdicts:
        equal = equal and not verdict.differences
        for line in format_verdict(verdict):
            _print(line)
    return 0 if equal else 1


def _status(settings: Settings, options: StatusCommand) -> int:
    from updater import status

    now = datetime.now(UTC)
    if options.check:
        # Container runtimes call this every few seconds: print the age alone.
        _print(next(status.lines(settings, now, 0)))
        return 0 if status.is_fresh(settings, now) else 1
    if options.json:
        _print(status.as_json(settings, now, options.last))
    else:
        for line in status.lines(settings, now, options.last):
            _print(line)
    return 0


def _report(settings: Settings, options: ReportCommand, stop: StopRequest) -> int:
    from updater.daily_report import DailyReporter, describe_reports

    if not options.send_again:
        for line in describe_reports(settings, options.last):
            _print(line)
        return 0
    assert options.day is not None
    assert options.why is not None
    startup.start(SERVICE, settings)
    reporter = DailyReporter(settings, UpdaterMetrics().daily_reports, stop)
    state = reporter.send_again(options.day, options.why)
    _print(f"The report of {options.day}: {state}")
    return 0 if state is ReportState.SENT else 1


def _doctor(settings: Settings, options: DoctorCommand) -> int:
    from updater.doctor import check_result, checks

    results = list(checks.examine(settings))
    if options.json:
        _print(check_result.as_json(results))
    else:
        for result in results:
            _print(str(result))
    return 1 if any(result.failed for result in results) else 0


def _views(settings: Settings, options: ViewsCommand) -> int:
    from updater import views

    match options.action:
        case "plan":
            findings = views.plan_changes(settings, options.file)
        case "test":
            assert options.file is not None
            findings = views.run_file_tests(settings, options.file)
        case _:
            findings = views.list_views(settings)
    failed = False
    for finding in findings:
        failed = failed or finding.failed
        _print(str(finding))
    return 1 if failed else 0


def _change_events(
    settings: Settings, command: ReplayCommand | RetentionCommand | ForgetCommand
) -> int:
    from updater import event_commands  # Nobody else needs it.

    startup.start(SERVICE, settings)
    match command:
        case ReplayCommand():
            lines = event_commands.run_replay(settings, command)
        case RetentionCommand():
            lines = event_commands.run_retention(settings, command)
        case ForgetCommand():
            lines = event_commands.run_forget(settings, command)
    for line in lines:
        _print(line)
    return 0


def _kafka(settings: Settings, options: KafkaCommand) -> int:
    from updater import kafka_status

    show = kafka_status.restart if options.restart else kafka_status.lines
    for line in show(settings):
        _print(line)
    return 0


def _download(
    settings: Settings, command: FollowCommand | RestoreCommand, stop: StopRequest
) -> int:
    from updater.following import run_follow, run_restore

    startup.start(SERVICE, settings)
    match command:
        case FollowCommand():
            lines = run_follow(settings, command, stop)
        case RestoreCommand():
            lines = run_restore(settings, command)
    for line in lines:
        _print(line)
    return 0


def _print(line: str) -> None:
    print(redact(line), flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
