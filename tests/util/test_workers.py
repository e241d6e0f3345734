"""Several workers are refused, since each would have limits of its own."""

import sys
from pathlib import Path

import pytest

import collect_events
import main
from tests.routers.conftest import make_settings
from tests.support.events import collector_settings
from util.errors import SettingsError
from util.workers import require_one_worker


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["uvicorn", "main:app", "--workers", "4"], {}),
        (["uvicorn", "--workers=2", "main:app"], {}),
        (["uvicorn", "main:app"], {"WEB_CONCURRENCY": "3"}),
    ],
)
def test_several_workers_are_refused(
    arguments: list[str], environ: dict[str, str]
) -> None:
    """The line says what to do."""
    with pytest.raises(SettingsError, match="Start one worker"):
        require_one_worker(arguments, environ)


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["uvicorn", "main:app"], {}),
        (["uvicorn", "main:app", "--workers", "1"], {"WEB_CONCURRENCY": "3"}),
        (["uvicorn", "main:app"], {"WEB_CONCURRENCY": "1"}),
        (["uvicorn", "main:app", "--workers"], {}),
    ],
)
def test_one_worker_is_accepted(arguments: list[str], environ: dict[str, str]) -> None:
    """An argument counts more than the variable, as in uvicorn."""
    require_one_worker(arguments, environ)


def test_the_api_and_the_collector_refuse_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both count callers; uvicorn then ends, since no worker starts."""
    monkeypatch.setattr(sys, "argv", ["uvicorn", "program:app", "--workers", "2"])
    with pytest.raises(SettingsError, match="Start one worker"):
        main._prepare(main.create_app(make_settings(data_dir=tmp_path)))
    settings = collector_settings(tmp_path / "spool")
    with pytest.raises(SettingsError, match="Start one worker"):
        collect_events._prepare(collect_events.create_app(settings))
