"""DuckDB alone on derived tables: prints the seconds of a page of each as JSON."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb

from sqlfiles.session import literal

KIBIBYTE = 1024
RUNS = 5


def main(tables: dict[str, tuple[list[str], int]]) -> None:
    """Read each table's files: write the given number of rows as JSON."""
    connection = duckdb.connect()
    seconds = {}
    with TemporaryDirectory() as folder:
        json_file = literal(str(Path(folder) / "page.json"))
        for name, (paths, page_rows) in tables.items():
            rows = f"FROM read_parquet([{', '.join(map(literal, paths))}])"

            def page(rows: str = rows, limit: int = page_rows) -> None:
                connection.execute(f"COPY ({rows} LIMIT {limit}) TO {json_file}")

            seconds[name] = _median_seconds(page)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
    print(json.dumps({"seconds": seconds, "peak": peak}))


def _median_seconds(run: Callable[[], None]) -> float:
    """The median of some runs after the first, which does not count."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return median(times[1:])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
