"""The systemd units: valid and hardened, checked with systemd-analyze."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
EXAMPLES = sorted(ROOT.glob("examples/*/systemd/*.service"))
SERVICES = [*sorted(UNITS.glob("*.service")), *EXAMPLES]
# Exposure on a scale to 10: systemd rates up to 2 as "OK", and a service without settings 9.6.
HIGHEST_EXPOSURE = 2.0


def _systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: apt-get install systemd"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60
    )


def _installed(tmp_path: Path) -> list[str]:
    """Paths of the units, installed in a folder with an interpreter."""
    home = tmp_path / "opt"
    python = home / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    units = [*SERVICES, *UNITS.glob("*.timer")]
    for unit in units:
        text = unit.read_text().replace("/opt/fpp-analytics", str(home))
        (tmp_path / unit.name).write_text(text)
    return [str(tmp_path / unit.name) for unit in units]


def test_there_are_units_for_all_programs() -> None:
    """The other tests find all services."""
    assert {unit.stem for unit in SERVICES} - {unit.stem for unit in EXAMPLES} == {
        "fpp-analytics-api",
        "fpp-analytics-cluster@",
        "fpp-analytics-collector",
        "fpp-analytics-updater",
        "fpp-analytics-updater-loop",
    }


def test_systemd_reports_nothing_about_the_units(tmp_path: Path) -> None:
    """Its warnings, such as unknown keys and missing programs, count as errors."""
    checked = _systemd_analyze("verify", "--man=no", *_installed(tmp_path))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_each_service_is_hardened(unit: Path) -> None:
    """Systemd's exposure score of each service is low enough."""
    threshold = str(round(HIGHEST_EXPOSURE * 10))
    checked = _systemd_analyze(
        "security", "--offline=yes", f"--threshold={threshold}", str(unit)
    )
    assert checked.returncode == 0, checked.stdout


def test_only_the_updater_can_write_and_only_its_data() -> None:
    """API and cluster have no writable folder and no database settings."""
    for name in ("fpp-analytics-api", "fpp-analytics-cluster@"):
        reading = (UNITS / f"{name}.service").read_text()
        assert "StateDirectory" not in reading
        assert "ReadWritePaths" not in reading
        assert "updater.env" not in reading
    for name in ("fpp-analytics-updater", "fpp-analytics-updater-loop"):
        text = (UNITS / f"{name}.service").read_text()
        assert "StateDirectory=fpp-analytics\n" in text
        assert "ReadWritePaths" not in text


def test_the_collector_can_write_the_spool_and_see_no_read_model() -> None:
    """It takes requests from the public."""
    text = (UNITS / "fpp-analytics-collector.service").read_text()
    assert re.findall("^StateDirectory=(.*)$", text, re.MULTILINE) == [
        "fpp-analytics-spool"
    ]
    assert "InaccessiblePaths=-/var/lib/fpp-analytics\n" in text
    assert "DATA_DIR" not in text
    assert "EnvironmentFile=/etc/fpp-analytics/collector.env\n" in text


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
@pytest.mark.parametrize(
    "limit", ["MemoryMax=75%", "TasksMax=1024", "LimitNOFILE=65536"]
)
def test_each_service_is_limited(unit: Path, limit: str) -> None:
    """In memory, tasks and open files; a connection of each client needs one of these."""
    assert f"{limit}\n" in unit.read_text()


@pytest.mark.parametrize("name", ["fpp-analytics-api", "fpp-analytics-collector"])
def test_only_this_host_is_trusted_as_a_proxy(name: str) -> None:
    """That is uvicorn's default; its option or variable would replace it."""
    text = (UNITS / f"{name}.service").read_text()
    assert "forwarded-allow-ips" not in text
    assert "FORWARDED_ALLOW_IPS" not in text
    assert "--host 127.0.0.1" in text


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_each_service_is_killed_after_at_most_ten_seconds(unit: Path) -> None:
    """Stopping a service never hangs."""
    assert "TimeoutStopSec=10\n" in unit.read_text()


@pytest.mark.parametrize("unit", EXAMPLES, ids=lambda unit: unit.stem)
def test_an_example_shares_nothing_with_another_installation(unit: Path) -> None:
    """User, settings, data and port are its own; only the programs are the same."""
    text = unit.read_text()
    (user,) = re.findall("^User=(.*)$", text, re.MULTILINE)
    assert user == unit.stem.rpartition("-")[0] != "fpp-analytics"
    assert f"DATA_DIR=/var/lib/{user} " in text
    assert f"EnvironmentFile=/etc/{user}/" in text
    for name in ("/etc/fpp-analytics", "/var/lib/fpp-analytics", "--port 5100"):
        assert name not in text
    (folder,) = re.findall("VIEWS_DIR=/opt/fpp-analytics/(.*)$", text, re.MULTILINE)
    assert (ROOT / folder).is_dir()
