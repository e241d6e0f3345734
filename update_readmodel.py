"""The updater: mirror the database into DATA_DIR, once or again and again.

python update_readmodel.py            one sync; exit code 0, or 1 with the reason
python update_readmodel.py --every    one sync every SYNC_INTERVAL_SECONDS
python update_readmodel.py status     what the read model holds and how the runs went
python update_readmodel.py verify     compare the read model with the database now
python update_readmodel.py doctor     check all that a sync needs
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import config
from config import Settings
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.sync.verify import verify
from readmodel.tables import Table
from updater import doctor, status
from updater.runner import Runner
from util import logs, sentry_wrapper
from util.errors import FppError, SettingsError, Stopped
from util.redaction import clean, hide
from util.stopping import StopRequest

SERVICE = "fpp-analytics-updater"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the updater; the exit code is 1 when the last sync or check failed."""
    options = _options(arguments)
    stop = StopRequest()
    stop.listen()
    try:
        settings = config.load()
        hide(settings.secrets)
        match options.command:
            case "status":
                return _status(settings, options)
            case "verify":
                return _verify(settings, options)
            case "doctor":
                return _doctor(settings)
            case _:
                return _update(settings, options, stop)
    except Stopped as stopped:
        _say(str(stopped))
        return 0
    except FppError as error:
        _complain(error)
        return 1
    finally:
        sentry_wrapper.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Mirror the database into Parquet snapshots in DATA_DIR."
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["status", "verify", "doctor"],
        help="status: what is there and how the runs went; "
        "verify: compare every part with the database now, exit with 1 if any differs; "
        "doctor: check all that a sync needs; without it: sync",
    )
    parser.add_argument(
        "--full", action="store_true", help="fetch every row anew, whatever is there"
    )
    parser.add_argument(
        "--tables",
        type=_names,
        metavar="A,B",
        help="sync or verify only these tables; the others stay as they are",
    )
    parser.add_argument(
        "--json", action="store_true", help="with status or verify: print JSON"
    )
    parser.add_argument(
        "--every",
        nargs="?",
        type=_seconds,
        const=0,
        metavar="SECONDS",
        help="sync again and again (default: every SYNC_INTERVAL_SECONDS)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="with status: only its age; exit with 1 when it is missing or stale",
    )
    parser.add_argument(
        "--last",
        type=int,
        default=10,
        metavar="RUNS",
        help="with status: how many runs to show (default: 10)",
    )
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _update(settings: Settings, options: argparse.Namespace, stop: StopRequest) -> int:
    logs.configure(SERVICE, settings.log_level, settings.log_format)
    sentry_wrapper.init(
        settings.dsn,
        settings.sentry_environment,
        service=SERVICE,
        release=config.VERSION,
    )
    only = [table.name for table in _tables(settings, options)]
    runner = Runner(
        settings,
        source_from_settings(settings),
        full=options.full,
        only=only if options.tables else None,
        stop=stop,
    )
    if options.every is None:
        return 0 if runner.run() else 1
    seconds = options.every or settings.sync_interval_seconds
    with runner.metrics.serving(settings.metrics_host, settings.metrics_port):
        _repeat(runner.run, seconds, stop)
    return 0


def _repeat(run: Callable[[], object], seconds: float, stop: StopRequest) -> None:
    """Run now and then at each multiple of *seconds* since; ends by a signal."""
    for pause in _pauses(seconds, time.monotonic):
        stop.check()
        time.sleep(pause)
        run()


def _pauses(seconds: float, clock: Callable[[], float]) -> Iterator[float]:
    """How long to wait before each run, so that runs do not drift.

    A run that takes longer than *seconds* skips the times it missed.
    """
    start = clock()
    yield 0.0
    while True:
        yield seconds - (clock() - start) % seconds


def _tables(settings: Settings, options: argparse.Namespace) -> list[Table]:
    """The tables that are meant: all, or those of --tables."""
    tables = {table.name: table for table in tables_from_settings(settings)}
    if unknown := set(options.tables or ()) - set(tables):
        raise SettingsError(
            f"--tables names {', '.join(sorted(unknown))}, which is not mirrored: "
            f"there are {', '.join(sorted(tables))}; SYNC_TABLES adds further ones"
        )
    return [tables[name] for name in options.tables or tables]


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    tables = _tables(settings, options)
    verdicts = verify(source_from_settings(settings), settings.data_dir, tables)
    form = status.verdict_json if options.json else status.verdict_lines
    same = True
    for verdict in verdicts:
        same = same and not verdict.differences
        for line in form(verdict):
            _say(line)
    return 0 if same else 1


def _status(settings: Settings, options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    if options.check:
        # Asked for every few seconds by a container's runtime: the age is enough.
        _say(next(status.lines(settings, now, 0)))
        return 0 if status.is_fresh(settings, now) else 1
    if options.json:
        _say(status.as_json(settings, now, options.last))
    else:
        for line in status.lines(settings, now, options.last):
            _say(line)
    return 0


def _doctor(settings: Settings) -> int:
    checks = list(doctor.examine(settings))
    for check in checks:
        _say(str(check))
    return 1 if any(check.stops for check in checks) else 0


def _say(line: str) -> None:
    print(clean(line), flush=True)


def _complain(error: FppError) -> None:
    print(f"The sync failed: {clean(str(error))}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
