"""Many rows in bounded memory, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from routers.formats.media import TableFormat
from tests.support.effort import some_long
from tests.support.programs import ROOT

ROWS = dict.fromkeys(TableFormat, 300_000) | {TableFormat.XLSX: 20_000}
"""A workbook takes a minute for a million rows; its memory does not grow after some."""

MAX_ADDED_MB = 75
"""The rows take some 20 MB in memory, their text 40 MB, and JSON objects 300 MB."""

MAX_HELPER_MB = 150
"""Of the process that writes a workbook, which is 95 MB at its start."""

MAX_GAP_MS = 3_000
"""Of an overloaded machine; a writer that holds the interpreter takes the whole time."""


@pytest.mark.parametrize("table_format", some_long(TableFormat))
def test_a_large_table_needs_little_memory_and_does_not_stop_the_loop(
    table_format: TableFormat, tmp_path: Path
) -> None:
    """Neither in the API's process nor in the one that writes a workbook."""
    rows = str(ROWS[table_format])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.million", table_format, rows, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["bytes"] > ROWS[table_format]
    assert measured["added_mb"] < MAX_ADDED_MB
    assert measured["helper_mb"] < MAX_HELPER_MB
    assert measured["longest_gap_ms"] < MAX_GAP_MS
