"""deploy/install, run below another root: installed files and preserved settings."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import Settings

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory below which the clone has been installed."""
    root = tmp_path_factory.mktemp("root")
    clone = root / "opt" / "fpp-analytics"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for file in (Path(name) for name in listed if (ROOT / name).is_file()):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, clone / file)
    install(root)
    return root


def install(root: Path, clone: str = "opt/fpp-analytics") -> str:
    """Run deploy/install and return its output, with stderr if it fails."""
    paths = [str(ROOT / ".tools" / "bin"), os.environ["PATH"]]
    done = subprocess.run(
        [str(root / clone / "deploy" / "install")],
        env={
            "PATH": os.pathsep.join(paths),
            "HOME": str(root / "home"),
            "DESTDIR": str(root),
            "UV_PYTHON": os.path.realpath(sys.executable),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def token(root: Path) -> str:
    """The token in the API's settings."""
    settings = (root / "etc" / "fpp-analytics" / "api.env").read_text()
    (line,) = [x for x in settings.splitlines() if x.startswith("ANALYTICS")]
    return line.partition("=")[2]


@pytest.mark.long("test_the_settings_files_contain_only_settings")
def test_units_settings_and_command_are_in_their_places(root: Path) -> None:
    """.venv contains the packages, except the development packages; all is compiled."""
    units = root / "etc" / "systemd" / "system"
    assert {path.name for path in units.iterdir()} == {
        "fpp-analytics-api.service",
        "fpp-analytics-cluster@.service",
        "fpp-analytics-collector.service",
        "fpp-analytics-updater.service",
        "fpp-analytics-updater-loop.service",
        "fpp-analytics-updater.timer",
    }
    assert os.access(root / "usr/local/sbin/fpp-analytics", os.X_OK)
    packages = next((root / "opt/fpp-analytics/.venv/lib").glob("*/site-packages"))
    assert (packages / "polars").is_dir()
    assert not (packages / "pytest").exists()
    assert list((root / "opt/fpp-analytics/routers/__pycache__").glob("auth.*.pyc"))


@pytest.mark.long("test_the_settings_files_contain_only_settings")
def test_only_the_owner_can_read_secrets(root: Path) -> None:
    """Systemd reads the settings files as root."""
    for name in ("api.env", "updater.env", "collector.env", "cluster.env"):
        mode = (root / "etc" / "fpp-analytics" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600, name


@pytest.mark.long("test_the_settings_files_contain_only_settings")
def test_each_installation_has_its_own_token(root: Path) -> None:
    """The token comes from the system's random number generator."""
    assert len(token(root)) == 48
    assert set(token(root)) <= set("0123456789abcdef")


@pytest.mark.long("test_a_clone_elsewhere_is_refused")
def test_installing_again_keeps_the_settings(root: Path) -> None:
    """An upgrade runs the same command."""
    settings = root / "etc" / "fpp-analytics" / "updater.env"
    settings.write_text("DB_HOST=kept\n")
    before = token(root)
    assert "Done" in install(root)
    assert token(root) == before
    assert settings.read_text() == "DB_HOST=kept\n"


def test_a_clone_elsewhere_is_refused(tmp_path: Path) -> None:
    """The units refer to /opt/fpp-analytics."""
    place = tmp_path / "home" / "deploy"
    place.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "install", place)
    output = install(tmp_path, clone="home")
    assert "the clone must be in /opt/fpp-analytics" in output


@pytest.mark.parametrize(
    "name", ["api.env", "updater.env", "collector.env", "cluster.env"]
)
def test_the_settings_files_contain_only_settings(name: str) -> None:
    """A misspelt variable would be silently ignored."""
    text = (ROOT / "deploy" / "systemd" / name).read_text()
    lines = [line.lstrip("#") for line in text.splitlines() if "=" in line]
    names = {line.partition("=")[0].lower() for line in lines}
    assert names
    assert names <= set(Settings.model_fields)


def test_every_alert_is_explained() -> None:
    """docs/operations.md has a heading with the name of each alert."""
    text = (ROOT / "docs" / "operations.md").read_text()
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    alerts = [line.split()[2] for line in rules.splitlines() if "- alert:" in line]
    assert alerts
    assert [alert for alert in alerts if f"\n### {alert}\n" not in text] == []
