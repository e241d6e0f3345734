"""The updater: mirror the database into DATA_DIR, once or again and again.

python update_readmodel.py            one sync; exit code 0, or 1 with the reason
python update_readmodel.py --every    one sync every SYNC_INTERVAL_SECONDS
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from types import FrameType

import config
from config import Settings
from readmodel.connect import source_of
from readmodel.source import Source
from readmodel.sync import Report, TableReport, sync
from readmodel.tables import TABLES
from util.errors import FppError, Stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the updater; the exit code is 1 when the last sync failed."""
    options = _options(arguments)
    _stop_on_signals()
    try:
        settings = config.load()
        source = source_of(settings)
        if options.every is None:
            return _run(settings, source)
        seconds = options.every or settings.sync_interval_seconds
        return _repeat(lambda: _run(settings, source), seconds)
    except Stopped as stopped:
        _say(str(stopped))
        return 0
    except FppError as error:
        _complain(error)
        return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Mirror the database into Parquet snapshots in DATA_DIR."
    )
    parser.add_argument(
        "--every",
        nargs="?",
        type=_seconds,
        const=0,
        metavar="SECONDS",
        help="sync again and again (default: every SYNC_INTERVAL_SECONDS)",
    )
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


def _stop_on_signals() -> None:
    """Leave at the next safe point: whatever is staged is removed on the way out."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(f"Stopped by {signal.Signals(number).name}")

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)


def _run(settings: Settings, source: Source) -> int:
    try:
        report = sync(
            source,
            settings.data_dir,
            list(TABLES.values()),
            now=lambda: datetime.now(UTC),
            told=lambda table: _say(_table_line(table)),
        )
    except Stopped:
        raise
    except FppError as error:
        _complain(error)
        return 1
    _say(_summary(report, source))
    return 0


def _table_line(table: TableReport) -> str:
    fetched = f"{table.fetched:,} fetched" if table.fetched else "unchanged"
    zeros = f", {table.zero_dates} zero dates became NULL" if table.zero_dates else ""
    return (
        f"{table.name:<16} {table.rows:>12,} rows  {fetched:>20}  "
        f"{table.seconds:6.2f} s{zeros}"
    )


def _summary(report: Report, source: Source) -> str:
    return (
        f"Mirrored {report.rows:,} rows of {source.name}, {report.fetched:,} fetched, "
        f"in {report.seconds:.2f} s: snapshot {report.snapshot}"
    )


def _repeat(run: Callable[[], int], seconds: float) -> int:
    """Run now and then at each multiple of *seconds* since; ends by a signal."""
    code = 0
    for pause in _pauses(seconds, time.monotonic):
        time.sleep(pause)
        code = run()
    return code


def _pauses(seconds: float, clock: Callable[[], float]) -> Iterator[float]:
    """How long to wait before each run, so that runs do not drift.

    A run that takes longer than *seconds* skips the times it missed.
    """
    start = clock()
    yield 0.0
    while True:
        yield seconds - (clock() - start) % seconds


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(error: FppError) -> None:
    print(f"The sync failed: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
