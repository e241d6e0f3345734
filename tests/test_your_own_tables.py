"""docs/your-own-tables.md is followed literally, on each kind of database."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.mariadb import Database as MariaDatabase
from testbed.ports import free_port
from testbed.postgres import Database as PostgresDatabase
from tests.support.effort import THOROUGH, some_long
from tests.support.programs import ROOT

pytestmark = pytest.mark.external

SHOP = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, country VARCHAR(2))",
    (
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER,"
        " euros NUMERIC(10, 2), ordered_at TIMESTAMP)"
    ),
    "INSERT INTO customers VALUES (1, 'DE'), (2, 'FI')",
    (
        "INSERT INTO orders VALUES (1, 1, 19.5, '2026-01-05 10:05:00'),"
        " (2, 2, 8, '2026-02-01 08:00:00'), (3, 1, 30, '2026-02-14 20:15:00')"
    ),
)
KINDS = some_long(["sqlite", "postgres", *(["mariadb"] if THOROUGH else [])])

STOP = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
"""After a step that fails, nothing runs on."""


@pytest.fixture
def source_url(request: pytest.FixtureRequest, kind: str) -> str:
    """SOURCE_URL of a database with the shop, which its user may only read."""
    if kind == "postgres":
        shop: PostgresDatabase = request.getfixturevalue("postgres")
        shop.run(*SHOP)
        return shop.environ()["SOURCE_URL"]
    if kind == "mariadb":
        maria: MariaDatabase = request.getfixturevalue("database")
        maria.run(*SHOP)
        found = maria.environ()
        user = f"{found['DB_USERNAME']}:{found['DB_PASSWORD']}"
        place = f"{found['DB_HOST']}:{found['DB_PORT']}/{found['DB_NAME']}"
        return f"mysql://{user}@{place}"
    return "sqlite:///shop.db"


def script(source_url: str, kind: str) -> str:
    """All steps of the page, but for the set-up and the database that it makes."""
    page = (ROOT / "docs" / "your-own-tables.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    if kind != "sqlite":
        blocks = [block for block in blocks if "import sqlite3" not in block]
    text = "".join(blocks)
    port = free_port()
    changes = {
        "make setup\n": "",  # the packages are there
        "SOURCE_URL=sqlite:///shop.db": f"SOURCE_URL={source_url}",
        "--port 5100": f"--port {port}",
        ":5100": f":{port}",
    }
    for found, actual in changes.items():
        assert found in text
        text = text.replace(found, actual)
    return text


def answers(output: str) -> Iterator[Any]:
    """The JSON documents in the output."""
    decoder, place = json.JSONDecoder(), 0
    while (start := output.find("{", place)) >= 0:
        try:
            found, place = decoder.raw_decode(output, start)
            yield found
        except json.JSONDecodeError:
            place = start + 1


@pytest.mark.long(
    "tests/updater/test_derived_runs.py::test_a_sync_builds_the_shipped_tables"
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_can_be_followed_line_by_line(
    tmp_path: Path, kind: str, source_url: str
) -> None:
    """Each step succeeds, and the answers are those of the shop."""
    names = ("PATH", "LANG")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", STOP + script(source_url, kind)],
        cwd=ROOT,
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    health, revenue, *_ = answers(done.stdout)
    assert health["status"] == "ok"
    assert [(r["month"], r["country"], float(r["euros"])) for r in revenue["rows"]] == [
        ("2026-01-01", "DE", 19.5),
        ("2026-02-01", "DE", 30.0),
    ]
    (best,) = re.findall(r"^.*(\[\{\"customer_id\".*?\}\])", done.stdout, re.MULTILINE)
    assert [row["customer_id"] for row in json.loads(best)] == [1, 2]
    folder = tmp_path / "my-analytics"
    assert (folder / "revenue.xlsx").read_bytes().startswith(b"PK")
    assert re.search(
        r"^http://127\.0\.0\.1:\d+/dashboard#token=\w{48}$", done.stdout, re.MULTILINE
    )
