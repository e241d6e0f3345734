"""Drains, each measured in a process of its own.

    python -m bench.events_worker drain DATA_DIR ROWS
    python -m bench.events_worker kafka DATA_DIR
    python -m bench.events_worker all DATA_DIR SPOOL_DIR

Prints one JSON object.
"""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_ANSWERS)

# isort: split
import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from bench import machine
from bench.event_clients import body
from config import load
from events.ids import id_hash
from events.instants import microseconds
from events.spool_files import file_name, new_instance
from events.verdicts import BatchContext, EventPlace, Judge
from readmodel.dtypes import dtype_name
from readmodel.store.event_tables import EVENT_SCHEMA, EVENTS, REJECTED, REJECTED_SCHEMA
from readmodel.store.manifest import Consumed
from readmodel.store.snapshot import latest
from readmodel.sync.drain import drain
from readmodel.sync.event_publish import PART_ROWS
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter

DRAINS: Final = 5
BATCH: Final = 1_000
SPACING: Final = timedelta(milliseconds=20)
"""Between two stored events: the newest arrived just now."""


def store_events(data_dir: Path, rows: int) -> None:
    """Write a read model with *rows* events, with ids of version 7."""
    now = datetime.now(UTC)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, now) as writer:
        columns = {name: dtype_name(dtype) for name, dtype in EVENT_SCHEMA.items()}
        table = writer.table(EVENTS, columns)
        first = now - rows * SPACING
        for start in range(0, rows, PART_ROWS):
            table.write(_rows(first, start, min(start + PART_ROWS, rows)), {})
        columns = {name: dtype_name(dtype) for name, dtype in REJECTED_SCHEMA.items()}
        writer.table(REJECTED, columns).write(pl.DataFrame(schema=REJECTED_SCHEMA), {})
        writer.consumed = Consumed()
        writer.publish()


def _rows(first: datetime, start: int, end: int) -> pl.DataFrame:
    """The events *start* to *end*; hashes of their ids are as random as real ones."""
    number = pl.int_range(start, end, eager=True)
    at = (first + pl.lit(number) * SPACING).cast(EVENT_SCHEMA["at"])
    hexed = pl.lit(number.hash(1)).cast(pl.String).str.tail(12).str.zfill(12)
    # Decimal digits sort before the hexadecimal ones of real ids of today.
    tenths = number * 20 // 100 + microseconds(first) // 100_000
    time_digits = pl.lit("0") + pl.lit(tenths).cast(pl.String)
    event_id = pl.concat_str(
        time_digits.str.head(8),
        pl.lit("-"),
        time_digits.str.tail(4),
        pl.lit("-7000-8000-"),
        hexed,
    )
    frame = pl.select(
        event_id=event_id,
        app_id=pl.lit("openstream"),
        name=pl.lit("video_heartbeat"),
        user_id=pl.format("user-{}", pl.lit(number % 9_973)),
        at=at,
        source=pl.lit(None, pl.String()),
        properties=pl.concat_str(
            pl.lit('{"video_id":"v'), pl.lit(number % 997), pl.lit('","watch_time":10}')
        ),
        received_at=at,
        sender=pl.lit("token-1a2b3c4d"),
        sent_at=pl.lit(None, EVENT_SCHEMA["sent_at"]),
        content_hash=pl.lit(number.hash(2)).reinterpret(signed=True),
        id_hash=pl.lit(number.hash(3)).reinterpret(signed=True),
        batch=pl.format("batch-{}", pl.lit(number // 100)),
    )
    return frame.select(
        pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items()
    )


def measure_drains(data_dir: Path, rows: int) -> dict[str, dict[str, float]]:
    """How long a drain of BATCH events into *rows* takes, by the kind of their ids."""
    store_events(data_dir, rows)
    spool = data_dir / "spool"
    spool.mkdir()
    return {
        "v7": _time_drains(data_dir, spool, random_ids=False),
        "random": _time_drains(data_dir, spool, random_ids=True),
    }


def _time_drains(data_dir: Path, spool: Path, *, random_ids: bool) -> dict[str, float]:
    """Median processor time and duration in seconds."""
    cpu, took = [], []
    for number in range(DRAINS + 1):
        _write_spool(spool, 2 * number + random_ids, random_ids)
        before, began = time.process_time(), time.perf_counter()
        report = drain(data_dir, spool)
        cpu.append(time.process_time() - before)
        took.append(time.perf_counter() - began)
        if report.accepted != BATCH:
            raise ValueError(f"{report.accepted} of {BATCH} events were new")
    # The first one reads the files' footers into the system's cache.
    middle = DRAINS // 2
    return {"cpu": sorted(cpu[1:])[middle], "seconds": sorted(took[1:])[middle]}


def _write_spool(spool: Path, number: int, random_ids: bool) -> None:
    now = datetime.now(UTC)
    received = microseconds(now)
    events: list[Any] = orjson.loads(body(BATCH))
    if random_ids:
        for event in events:
            event["event_id"] = f"{id_hash(event['event_id']):x}"
    judged = Judge.of(load({})).judge_all(
        events,
        [EventPlace("b", received)] * BATCH,
        BatchContext("token-1a2b3c4d", None, now, received),
    )
    instance = new_instance(now)
    (spool / file_name(instance, number)).write_bytes(judged.encode())


def measure_kafka(data_dir: Path) -> dict[str, float]:
    """Rate, processor time and memory of reading the topic that the environment names.

    Memory is that of this process, without those that judge.
    """
    from prometheus_client import CollectorRegistry

    from updater.intake_metrics import IntakeMetrics
    from updater.kafka_intake import KafkaIntake
    from util.stopping import StopRequest

    settings = load({**os.environ, "DATA_DIR": str(data_dir)})
    intake = KafkaIntake(settings, IntakeMetrics(CollectorRegistry()), StopRequest())
    before, began = time.process_time(), time.perf_counter()
    assert intake.run_to_end()
    seconds = time.perf_counter() - began
    intake.close()
    own = time.process_time() - before
    others = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that have ended
    stored = latest(data_dir).manifest
    assert stored is not None
    return {
        "cpu": own,
        "judging_cpu": others.ru_utime + others.ru_stime,
        "seconds": seconds,
        "events": stored.tables[EVENTS].rows,
        "memory": machine.peak_bytes(os.getpid()),
    }


def measure_all(data_dir: Path, spool_dir: Path) -> dict[str, float]:
    """Processor time in seconds of draining a whole spool, and how many events it had."""
    before = time.process_time()
    report = drain(data_dir, spool_dir)
    return {"cpu": time.process_time() - before, "events": report.accepted}


def main() -> None:
    """Run the measurement that the arguments name."""
    found: object
    kind, data_dir = sys.argv[1], Path(sys.argv[2])
    match kind:
        case "kafka":
            found = measure_kafka(data_dir)
        case "all":
            found = measure_all(data_dir, Path(sys.argv[3]))
        case _:
            found = measure_drains(data_dir, int(sys.argv[3]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
