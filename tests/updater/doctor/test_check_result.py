"""The checks as JSON."""

import json

import pytest

from tests.support.programs import run_updater

pytestmark = pytest.mark.external


def test_scripts_get_one_object(mysql: dict[str, str]) -> None:
    """The same checks in the same order; the exit code is the same, too."""
    good = run_updater(mysql, "doctor", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    found = json.loads(good.stdout)
    assert found["passed"]
    assert {each["outcome"] for each in found["checks"]} <= {"passed", "warning"}
    lines = run_updater(mysql, "doctor").stdout.splitlines()
    assert [each["name"] for each in found["checks"]] == [
        line.split(maxsplit=2)[1] for line in lines
    ]
    bad = run_updater(mysql | {"DB_NAME": "not_there"}, "doctor", "--json")
    assert bad.returncode == 1
    found = json.loads(bad.stdout)
    failed = [each for each in found["checks"] if each["outcome"] == "failed"]
    assert not found["passed"]
    assert "not_there" in failed[0]["text"]
