"""Measure one export: `python -m tests.support.million FORMAT ROWS FOLDER`.

Prints JSON: the bytes of the answer, seconds, megabytes of memory beyond those before,
and the longest time that the event loop was not served.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import polars as pl
from fastapi.responses import StreamingResponse

from routers.formats.answer import Exports
from routers.formats.media import TableFormat
from routers.formats.table import TableAnswer
from routers.worker.client import Worker


def make_table(rows: int, file: Path) -> TableAnswer:
    """Six columns: numbers, texts, timestamps, a flag."""
    number = pl.int_range(rows)
    start = pl.datetime(2020, 1, 1, time_zone="UTC")
    if not file.exists():
        pl.LazyFrame().select(
            id=number,
            share=number / 7,
            name=pl.format("the name of row {}", number),
            at=start + pl.duration(seconds=number),
            group=number % 97,
            even=number % 2 == 0,
        ).sink_parquet(file)
    return TableAnswer("rows", pl.scan_parquet(file))


def peak_mb() -> float:
    """The most memory that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def watch(gaps: list[float]) -> None:
    """Note how late each millisecond's turn comes."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - began)


async def export(table: TableAnswer, table_format: TableFormat) -> dict[str, float]:
    """Send *table* to nobody."""
    worker, gaps = Worker(), [0.0]
    watcher = asyncio.create_task(watch(gaps))
    before, began, size = peak_mb(), time.perf_counter(), 0
    response = await Exports(worker).respond(table, table_format, {}, "name")
    assert isinstance(response, StreamingResponse)
    async for piece in response.body_iterator:
        size += len(piece)
    took = time.perf_counter() - began
    watcher.cancel()
    worker.close()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "bytes": size,
        "seconds": round(took, 2),
        "added_mb": round(peak_mb() - before, 1),
        "helper_mb": round(children, 1),
        "longest_gap_ms": round(max(gaps) * 1000),
    }


def main() -> None:
    """Print the measurement."""
    table_format, rows, folder = sys.argv[1:]
    table = make_table(int(rows), Path(folder) / f"{rows}.parquet")
    # The first scan starts threads and fills caches.
    next(iter(TableAnswer("x", table.rows.lazy().head(1)).batches()))
    measured = asyncio.run(export(table, TableFormat(table_format)))
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
