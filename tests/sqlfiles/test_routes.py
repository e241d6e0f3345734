"""Addresses that SQL files declare."""

import subprocess
import sys
from pathlib import Path

from sqlfiles.routes import DeclaredRoute, declared_routes
from tests.support.derived import write_views
from tests.support.programs import ROOT

ROUTED = """\
-- @name players
-- @type report
-- @route /players
SELECT nonsense
-- @name of_room
-- @type report
-- @route /rooms/{room}
SELECT 1
"""
WRONG = "-- @name wrong\n-- @type report\n-- @route no path\nSELECT 1\n"
UNNAMED = "-- @type report\n-- @route /unnamed\nSELECT 1\n"


def test_routes_are_read_from_headers_alone(tmp_path: Path) -> None:
    """A statement with an error has its route; one without name or path has none."""
    folder = write_views(tmp_path, b=ROUTED, a=WRONG, c=UNNAMED, d="nothing")
    (tmp_path / "e.sql").write_bytes(b"-- @name x\n-- @route /\xff\n")
    (tmp_path / "f.sql").mkdir()
    assert declared_routes(folder) == [
        DeclaredRoute("/players", "players", "b.sql", 1),
        DeclaredRoute("/rooms/{room}", "of_room", "b.sql", 5),
    ]


def test_without_a_folder_there_are_no_routes(tmp_path: Path) -> None:
    """VIEWS_DIR need not exist."""
    assert declared_routes(tmp_path / "nowhere") == []


def test_the_engine_is_not_imported(tmp_path: Path) -> None:
    """It takes a third of a second, and nothing is parsed."""
    folder = write_views(tmp_path, a=ROUTED)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sqlfiles.routes import declared_routes\n"
        f"print(len(declared_routes(Path({str(folder)!r}))))\n"
        "assert 'duckdb' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.check_output(command, cwd=ROOT, text=True)
    assert found == "2\n"
