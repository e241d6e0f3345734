"""DuckDB alone on one SQL file's table: prints its seconds and peak bytes as JSON.

It runs with its defaults, so with all processors, and writes by its own COPY.
"""

import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from sqlfiles.catalogue import load
from sqlfiles.definition import quoted
from sqlfiles.session import literal

KIBIBYTE = 1024


def main(name: str, views_dir: str, files: dict[str, list[str]]) -> None:
    """Run the definition *name* of *views_dir* over *files*, the tables' Parquet files."""
    definition = load(Path(views_dir), files).table(name)
    assert definition is not None
    connection = duckdb.connect()
    for table, paths in files.items():
        listed = ", ".join(map(literal, paths))
        connection.execute(
            f"CREATE VIEW {quoted(table)} AS SELECT * FROM read_parquet([{listed}])"
        )
    connection.execute(f"CREATE VIEW definition AS {definition.sql}")
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        connection.execute(
            f"COPY (FROM definition) TO {literal(f'{folder}/out.parquet')}"
        )
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
