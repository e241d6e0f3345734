"""The updater builds the shipped SQL files, and reports what failed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from readmodel.store import metrics
from readmodel.store.view_log import recent_view_runs
from tests.support.derived import table_sql, write_views
from tests.support.programs import environ, run_updater
from tests.views.test_shipped import TABLES, VIEWS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def with_views(settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Settings with a copy of the shipped SQL files."""
    shutil.copytree(VIEWS, tmp_path / "views")
    return settings | {"VIEWS_DIR": str(tmp_path / "views")}


def test_a_sync_builds_the_shipped_tables(
    with_views: dict[str, str], data_dir: Path
) -> None:
    """The next one links them; the view log has the builds alone."""
    assert run_updater(with_views).returncode == 0
    manifest = metrics.current_manifest(data_dir)
    assert manifest is not None
    assert sorted(manifest.derived) == sorted(TABLES)
    assert set(TABLES) < manifest.tables.keys()
    assert not any(state.is_stale for state in manifest.derived.values())
    again = run_updater(with_views)
    assert again.returncode == 0
    assert (again.stdout + again.stderr).count("unchanged") >= len(TABLES)
    assert len(recent_view_runs(data_dir, 100)) == len(TABLES)


@pytest.mark.long(
    "tests/updater/test_views.py::test_stale_tables_are_listed_as_problems"
)
def test_a_stale_table_is_reported_and_the_sync_succeeds(
    with_views: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    """In the log, in status, in doctor's list, in the view log and in the metrics."""
    broken = table_sql("broken", "SELECT 'x'::INTEGER AS n")
    write_views(tmp_path / "views", broken=broken)
    run = run_updater(with_views)
    assert run.returncode == 0
    assert "broken is stale: Conversion Error" in run.stdout + run.stderr
    status = run_updater(with_views, "status").stdout
    assert "broken (broken.sql) is stale since" in status
    as_json = json.loads(run_updater(with_views, "status", "--json").stdout)
    assert as_json["views"]["broken"]["outcome"] == "error"
    assert {run["outcome"] for run in as_json["view_runs"]} == {"built", "error"}
    listed = run_updater(with_views, "views")
    assert listed.returncode == 1
    assert "✗ stale: Conversion Error" in listed.stdout
    failed = [run.name for run in recent_view_runs(data_dir, 100) if not run.success]
    assert failed == ["broken"]


@pytest.mark.long(
    "tests/sqlfiles/test_catalogue.py::test_an_empty_folder_does_not_import_duckdb"
)
def test_without_sql_files_a_sync_does_not_import_duckdb(
    settings: dict[str, str],
) -> None:
    """Nor starts a process."""
    code = (
        "import sys, subprocess, update_readmodel;"
        "subprocess.Popen = None;"
        "assert update_readmodel.main([]) == 0;"
        "assert 'duckdb' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=ROOT, env=environ(settings))
