"""CI workflow, commit hooks and Renovate: valid, and consistent with `make check`."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/checks.yml"
HOOKS = ".pre-commit-config.yaml"


def _read(path: str) -> Any:
    return YAML(typ="safe").load(ROOT / path)


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-workflows", WORKFLOW),
        ("custom.github-workflows-require-timeout", WORKFLOW),
        ("vendor.renovate", "renovate.json"),
    ],
)
def test_it_matches_the_published_schema(schema: str, path: str) -> None:
    """The schema is that of the program that reads the file."""
    _run("check_jsonschema", "--builtin-schema", schema, path)


def test_the_hooks_are_valid() -> None:
    """pre-commit accepts the configuration."""
    _run("pre_commit", "validate-config", HOOKS)


def test_each_check_is_a_separate_job_and_runs_are_scheduled() -> None:
    """Jobs run in parallel; a weekly run detects changes outside the repository."""
    workflow = _read(WORKFLOW)
    jobs = workflow["jobs"]
    assert {"format", "lint", "types", "tests"} <= set(jobs)
    assert not [name for name, job in jobs.items() if "needs" in job]
    # YAML 1.1 would parse the key "on" as true; this parser implements 1.2.
    assert workflow["on"]["schedule"][0]["cron"]


def test_hooks_and_jobs_run_the_tools_that_make_check_runs() -> None:
    """None of the three accepts what another one rejects."""
    make = (ROOT / "Makefile").read_text()
    jobs = (ROOT / WORKFLOW).read_text()
    hooks = (ROOT / HOOKS).read_text()
    for tool in ("ruff format", "ruff check", "mypy", "deptry", "biome"):
        assert re.search(rf"\b{tool}\b", make), tool
        assert re.search(rf"\b{tool}\b", jobs), tool
        assert re.search(rf"\b{tool}\b", hooks), tool


def test_every_hook_runs_a_program_of_the_lock_file() -> None:
    """Hooks need no network and use the locked versions."""
    for repository in _read(HOOKS)["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert (ROOT / hook["entry"].split()[0]).exists(), hook["id"]
