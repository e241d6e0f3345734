"""compose.yaml: valid, with hardened containers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from config import Settings

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name in SERVICES if name != "demo-mariadb"]


def test_it_matches_the_published_schema() -> None:
    """The JSON schema is that of the Compose specification."""
    arguments = ["--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_docker_compose_accepts_it_if_installed() -> None:
    """`docker compose config` resolves every variable, profile and dependency."""
    docker = shutil.which("docker")
    has_compose = (
        docker
        and not subprocess.run(
            [docker, "compose", "version"], capture_output=True, timeout=60
        ).returncode
    )
    if docker and has_compose:
        done = subprocess.run(
            [docker, "compose", "--profile", "demo", "config", "--quiet"],
            cwd=ROOT,
            env=os.environ | {"ANALYTICS_SECRET_TOKEN": "token"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_containers_is_hardened(name: str) -> None:
    """Read-only root, no capabilities, no new privileges, an init, a grace period."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["stop_grace_period"] == "15s"
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_containers_is_limited(name: str) -> None:
    """Memory, processes and open files; a flood then ends one container, not the host."""
    service = SERVICES[name]
    assert re.fullmatch(r"\$\{MEMORY_LIMIT:-\d+g\}", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 4096
    assert service["ulimits"]["nofile"] == 65_536


@pytest.mark.parametrize("name", ["api", "collector"])
def test_the_trusted_proxies_are_named(name: str) -> None:
    """Nobody else's X-Forwarded-For counts, so no header evades the limits."""
    trusted = SERVICES[name]["environment"]["FORWARDED_ALLOW_IPS"]
    assert trusted == "${PROXY_ADDRESSES:-127.0.0.1}"
    command = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "forwarded-allow-ips" not in command  # it would count more than the variable


def test_images_of_others_are_named_by_digest() -> None:
    """A tag can be moved to another image."""
    images = [each["image"] for each in SERVICES.values() if "build" not in each]
    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)


@pytest.mark.parametrize(
    ("api", "updater"), [("api", "updater"), ("demo-api", "demo-updater")]
)
def test_the_api_reads_what_the_updater_writes(api: str, updater: str) -> None:
    """They share a volume, read-only for the API, which waits for the first snapshot."""
    written = SERVICES[updater]["volumes"][0]
    assert SERVICES[api]["volumes"] == [f"{written}:ro"]
    assert SERVICES[api]["depends_on"][updater] == {"condition": "service_healthy"}


def test_the_api_has_no_access_to_the_database() -> None:
    """It has neither the database's network nor any database setting."""
    api, updater = SERVICES["api"], SERVICES["updater"]
    assert not set(api["networks"]) & set(updater["networks"])
    assert not [name for name in api["environment"] if name.startswith("DB_")]
    assert "ANALYTICS_SECRET_TOKEN" not in updater["environment"]


def test_every_setting_reaches_the_program_that_reads_it() -> None:
    """A setting that compose.yaml does not pass on would be silently ignored."""
    passed = {
        name.lower()
        for service in ("api", "updater", "collector")
        for name in SERVICES[service]["environment"]
    }
    # Fixed by the image, and an alternative name.
    elsewhere = {"data_dir", "fpp_analytics_sentry_dsn"}
    assert set(Settings.model_fields) - passed == elsewhere


def test_without_a_token_nothing_starts() -> None:
    """An API without one would restart for ever; Compose says what is missing."""
    token = SERVICES["api"]["environment"]["ANALYTICS_SECRET_TOKEN"]
    assert token.startswith("${ANALYTICS_SECRET_TOKEN:?write it to .env")
    said = (ROOT / "README.md").read_text(encoding="utf-8")
    trial = SERVICES["demo-api"]["environment"]["ANALYTICS_SECRET_TOKEN"]
    assert f"ANALYTICS_SECRET_TOKEN={trial} docker compose up --build demo-api" in said


def test_no_port_is_public() -> None:
    """Ports are published only on the host's loopback interface."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_production_starts_no_service_of_the_demonstration() -> None:
    """All of its services belong to the profile."""
    plain = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert plain == {"api", "updater"}


def test_the_collector_reaches_nothing_but_the_spool() -> None:
    """It has no read model and no database; the updater empties what it writes."""
    collector, updater = SERVICES["collector"], SERVICES["updater"]
    assert collector["volumes"] == ["spool:/spool"]
    assert "spool:/spool" in updater["volumes"]
    assert not set(collector["networks"]) & set(updater["networks"])
    assert not [n for n in collector["environment"] if n.startswith(("DB_", "SOURCE"))]
    assert "INGEST_TOKENS" not in updater["environment"]
    assert "SPOOL_DIR" not in SERVICES["api"]["environment"]
