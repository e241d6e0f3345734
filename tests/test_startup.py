"""Start-up: secrets, logs and Sentry of every program."""

import json
import logging
import os
from collections.abc import Iterator

import pytest

import startup
from config import load
from util import redaction, sentry_wrapper
from util.errors import SettingsError
from util.logs import get_logger


@pytest.fixture(autouse=True)
def _reset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reset log handlers, registered secrets and Sentry after each test."""
    monkeypatch.setattr(redaction, "_registered", {})
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    sentry_wrapper.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_start_configures_the_logs_and_registers_the_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lines carry the service and no secret."""
    startup.start("collector", load({"DB_PASSWORD": "pass-word"}))
    get_logger("x").info("with pass-word")
    line = json.loads(capsys.readouterr().err)
    assert (line["service"], line["msg"]) == ("collector", "with [hidden]")


def test_start_respects_level_and_form_of_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """LOG_LEVEL and LOG_FORMAT."""
    startup.start("api", load({"LOG_LEVEL": "warning", "LOG_FORMAT": "text"}))
    get_logger("x").info("quiet")
    get_logger("x").warning("shown")
    assert capsys.readouterr().err.endswith("WARNING  x: shown\n")


def test_start_starts_sentry_in_production_only() -> None:
    """A malformed DSN is noticed in production."""
    dsn = {"SENTRY_DSN": "not-a-dsn"}
    startup.start("api", load(dsn))
    with pytest.raises(SettingsError, match="SENTRY_DSN is malformed"):
        startup.start("api", load(dsn | {"SENTRY_ENVIRONMENT": "production"}))


def test_load_settings_registers_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that do not log print no secrets either."""
    monkeypatch.setattr(os, "environ", {"DB_PASSWORD": "pass-word"})
    startup.load_settings()
    assert redaction.redact("with pass-word") == "with [hidden]"


@pytest.mark.parametrize("port", ["3306", "many"])
def test_early_logs_do_not_need_valid_settings(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application reports malformed settings when it starts."""
    monkeypatch.setenv("DB_PORT", port)
    settings = startup.configure_logs_early("api")
    assert (settings and settings.db_port) == (3306 if port == "3306" else None)
    get_logger("x").info("early")
    assert json.loads(capsys.readouterr().err)["service"] == "api"
