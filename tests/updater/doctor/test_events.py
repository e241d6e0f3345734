"""A spool that cannot be used, and a broker of Kafka that does not answer."""

import os
from pathlib import Path

import pytest

from tests.support.events import line, write_spool
from tests.support.programs import run_updater
from tests.support.servers import closed_port

pytestmark = pytest.mark.external


def test_doctor_finds_a_spool_that_cannot_be_used_and_a_dead_broker(
    data_dir: Path, tmp_path: Path
) -> None:
    """Both fail; an old file in the spool is a warning."""
    settings = {"DATA_DIR": str(data_dir), "TABLES": "none"}
    spool = write_spool(tmp_path / "spool", [line("e1")])
    os.utime(spool, (0, 0))
    old = run_updater(settings | {"SPOOL_DIR": str(spool.parent)}, "doctor").stdout
    assert "is writable, 1 files wait, the oldest for" in old
    dead = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{closed_port()}"}
    done = run_updater(settings | dead | {"SPOOL_DIR": str(spool)}, "doctor")
    assert done.returncode == 1
    assert "✗ SPOOL_DIR" in done.stdout
    assert "✗ Kafka        Kafka at 127.0.0.1" in done.stdout
