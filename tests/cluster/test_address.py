"""The address of a cluster: where its ports may be open, and what it needs."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import config
import run_cluster
from cluster import address
from cluster.address import cluster_address, is_loopback
from main import create_app
from tests.routers.conftest import make_settings
from util.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("dask://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("dask://localhost", "tcp://localhost:8786"),
        ("dask://[::1]:9000/", "tcp://[::1]:9000"),
    ],
)
def test_a_scheduler_on_this_machine_needs_no_tls(url: str, expected: str) -> None:
    """8786 is Dask's own port."""
    assert cluster_address(make_settings(engine_url=url)).url == expected


@pytest.mark.parametrize(
    "url",
    [
        "dask://scheduler:8786",
        "dask://0.0.0.0:8786",
        "dask://10.0.0.7:8786",
        "dask://[::]:8786",
        "dask://127.0.0.1.example.org:8786",
        "dask://localhost.example.org",
        "tls://127.0.0.1:8786",
    ],
)
def test_any_other_is_refused_without_tls(url: str) -> None:
    """``tls`` insists on it even here."""
    with pytest.raises(
        SettingsError, match="needs TLS: whoever reaches a port of Dask"
    ):
        cluster_address(make_settings(engine_url=url))


def test_with_tls_any_host_is_allowed(tls_files: dict[str, str]) -> None:
    """By either scheme."""
    files = {f"engine_tls_{name.lower()}": file for name, file in tls_files.items()}
    for url in ("dask://scheduler:1234", "tls://scheduler:1234"):
        found = cluster_address(make_settings(engine_url=url, **files))
        assert found.url == "tls://scheduler:1234"
        assert found.security() is not None
        found.require_safe("0.0.0.0")


def test_the_files_of_tls_are_needed_together(
    tls_files: dict[str, str], tmp_path: Path
) -> None:
    """One that is missing, no file, or no certificate, is named."""
    url = {"engine_url": "dask://127.0.0.1"}
    only_ca = {"engine_tls_ca": tls_files["CA"]}
    with pytest.raises(SettingsError, match="ENGINE_TLS_CERT is missing: TLS needs"):
        cluster_address(make_settings(**url, **only_ca))
    absent = {"engine_tls_ca": tmp_path, "engine_tls_cert": "x", "engine_tls_key": "x"}
    with pytest.raises(SettingsError, match=f"ENGINE_TLS_CA {tmp_path} is no file"):
        cluster_address(make_settings(**url, **absent))
    ca = tls_files["CA"]
    swapped = {f"engine_tls_{name}": ca for name in ("ca", "cert", "key")}
    with pytest.raises(SettingsError, match="ENGINE_TLS_KEY cannot be used"):
        cluster_address(make_settings(**url, **swapped))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_known_without_a_look_up(host: str) -> None:
    """A name may lead anywhere tomorrow."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8786",
        "127.0.0.1:8786",
        "dask://",
        "dask://:8786",
        "dask://user:secret@127.0.0.1",
        "dask://127.0.0.1:99999",
        "dask://127.0.0.1:0",
        "dask://127.0.0.1/path",
        "dask://127.0.0.1?x=y",
    ],
)
def test_a_malformed_address_is_one_line(url: str) -> None:
    """The value is not repeated."""
    with pytest.raises(SettingsError) as refused:
        config.load({"ENGINE_URL": url})
    assert str(refused.value) == (
        "ENGINE_URL is malformed: use dask://host:port, or tls://host:port"
    )


def test_a_cluster_of_polars_says_what_it_would_need() -> None:
    """A package that does not exist yet for this Polars."""
    with pytest.raises(
        SettingsError, match=r"polars:// needs the package polars-cloud"
    ):
        config.load({"ENGINE_URL": "polars://10.0.0.7"})


def test_the_extra_is_named_if_it_is_missing() -> None:
    """At the start, not at the first answer."""
    settings = make_settings(engine_url="dask://127.0.0.1")
    with (
        patch.object(address, "find_spec", lambda _: None),
        pytest.raises(SettingsError, match="uv sync --extra dask"),
    ):
        cluster_address(settings)


def test_the_api_refuses_to_start_without_tls() -> None:
    """One line says why."""
    settings = make_settings(engine_url="dask://10.0.0.7:8786")
    app = create_app(settings)
    prepare: Any = app.user_middleware[0].kwargs["prepare"]
    with pytest.raises(
        SettingsError, match=r"ENGINE_URL dask://10\.0\.0\.7:8786 needs"
    ):
        prepare(app)


@pytest.mark.parametrize("part", ["scheduler", "worker"])
def test_the_programs_refuse_as_well(
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An address that others reach, and a host to listen at."""
    monkeypatch.chdir(tmp_path)  # where there is no .env
    monkeypatch.delenv("ENGINE_URL", raising=False)
    assert run_cluster.main([part]) == 1
    assert "ENGINE_URL is missing" in capsys.readouterr().err
    monkeypatch.setenv("ENGINE_URL", "dask://scheduler:8786")
    assert run_cluster.main([part]) == 1
    assert f"The {part} cannot run: ENGINE_URL" in capsys.readouterr().err
    monkeypatch.setenv("ENGINE_URL", "dask://127.0.0.1:8786")
    assert run_cluster.main([part, "--host", "0.0.0.0"]) == 1
    assert "--host 0.0.0.0 needs TLS" in capsys.readouterr().err
