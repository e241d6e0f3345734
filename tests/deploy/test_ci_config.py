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


def test_ci_leaves_no_test_out() -> None:
    """Both run the command of the README, with the long tests."""
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^export TEST_EFFORT=full$", script, re.MULTILINE)
    assert re.search(r"^exec make test$", script, re.MULTILINE)
    steps = _read(WORKFLOW)["jobs"]["tests"]["steps"]
    assert steps[-1] == {"run": "make test", "env": {"TEST_EFFORT": "full"}}


def test_every_hook_runs_a_program_of_the_lock_file() -> None:
    """Hooks need no network and use the locked versions."""
    for repository in _read(HOOKS)["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert (ROOT / hook["entry"].split()[0]).exists(), hook["id"]


def test_actions_and_base_images_are_named_by_digest() -> None:
    """A tag can be moved to other content by whoever owns it."""
    used = re.findall(r"uses: (\S+)", (ROOT / WORKFLOW).read_text())
    assert used
    assert [each for each in used if not re.search(r"@[0-9a-f]{40}$", each)] == []
    stages = {"build", "base", "api"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) - stages
    assert bases
    assert [b for b in bases if not re.search(r"@sha256:[0-9a-f]{64}$", b)] == []


def test_no_job_keeps_credentials_or_runs_what_it_downloads() -> None:
    """A package that is compromised finds neither a token nor a shell to feed."""
    text = (ROOT / WORKFLOW).read_text()
    assert not re.search(r"(curl|wget)[^\n]*\|\s*(ba)?sh", text)
    workflow = _read(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


def test_known_vulnerabilities_of_all_packages_fail_a_job() -> None:
    """Of the exact versions in the lock file, extras included, by their hashes."""
    (export, audit) = (
        step["run"] for step in _read(WORKFLOW)["jobs"]["audit"]["steps"][2:]
    )
    assert "--locked" in export
    assert "--all-extras" in export
    assert "pip-audit@" in audit
    assert "--require-hashes" in audit
