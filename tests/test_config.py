"""Settings: defaults, errors, and secrets that never show."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

import config
from config import load
from util.errors import SettingsError


def test_without_variables_settings_have_the_documented_defaults() -> None:
    """Only the API's token and the updater's database have none."""
    settings = load({})
    assert settings.data_dir == Path("data")
    assert settings.db_port == 3306
    assert settings.db_name == "free-planning-poker"
    assert settings.sync_interval_seconds == 600
    assert settings.start_date == date(2024, 6, 3)
    assert settings.timezone.key == "UTC"
    assert settings.sentry_environment == "development"
    assert (settings.dsn, settings.email_service) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PORT", "many"),
        ("DB_PORT", "0"),
        ("DB_PORT", "65536"),
        ("SYNC_INTERVAL_SECONDS", "0"),
        ("START_DATE", "2024-13-01"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "../etc/passwd"),
        ("LOG_LEVEL", "loud"),
        ("METRIC_NAMES", "events_total"),
        ("METRIC_NAMES", "a=b=c"),
        ("METRIC_NAMES", "a=b,a=c"),
        ("METRIC_NAMES", "a b=c"),
        ("SQL_ANSWER", "list"),
        ("PATH_PREFIX", "stats"),
        ("PATH_PREFIX", "/a b"),
    ],
)
def test_a_malformed_value_is_one_line_with_the_variables_name(
    name: str, value: str
) -> None:
    """Whatever else is set or missing."""
    with pytest.raises(SettingsError, match=f"^{name} is malformed: .+") as caught:
        load({name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("START_DATE", "03.06.2024", "use YYYY-MM-DD, as in 2024-06-03"),
        ("START_DATE", "2024-02-30", "use YYYY-MM-DD, as in 2024-06-03"),
        ("TIMEZONE", "Berlin", "use an IANA name, such as Europe/Berlin"),
        ("TIMEZONE", "europe/berlin", "use an IANA name, such as Europe/Berlin"),
        ("TIMEZONE", "New York", "use an IANA name, such as America/New_York"),
        ("TIMEZONE", "Mars", "use an IANA name"),
    ],
)
def test_a_malformed_value_is_answered_with_what_was_meant(
    name: str, value: str, said: str
) -> None:
    """A person who sets up a server need not look it up."""
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    assert str(caught.value).endswith(said)


def test_given_variables_are_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the process is for `load()` alone."""
    monkeypatch.setenv("DB_PORT", "3307")
    assert load({"DB_NAME": "other"}).db_port == 3306
    assert load().db_port == 3307


def test_an_empty_variable_counts_as_unset() -> None:
    """Compose files pass empty variables on."""
    assert load({"DB_PORT": "", "TIMEZONE": ""}).db_port == 3306


@pytest.mark.parametrize(
    "environ", [{}, *({"ANALYTICS_SECRET_TOKEN": t} for t in (" ", ",", " , "))]
)
def test_a_missing_token_is_an_error_with_its_variable(environ: dict[str, str]) -> None:
    """Blanks do not count as a token."""
    with pytest.raises(SettingsError, match="ANALYTICS_SECRET_TOKEN is missing"):
        load(environ).require_tokens()


def test_several_tokens_are_separated_by_commas() -> None:
    """The old one stays valid while callers change to the new one."""
    settings = load({"ANALYTICS_SECRET_TOKEN": " new-token, old-token ,"})
    assert settings.require_tokens() == ("new-token", "old-token")


def test_metrics_may_have_several_further_names() -> None:
    """Each is the name of one metric."""
    names = {"METRIC_NAMES": "events_total=fpp_events_stored_total, n = m,"}
    expected = {"events_total": "fpp_events_stored_total", "n": "m"}
    assert load(names).further_metric_names == expected
    assert load({}).further_metric_names == {}


def test_secrets_lists_every_secret_value() -> None:
    """Tokens one by one; of a URL only the secret in it."""
    settings = load(
        {
            "ANALYTICS_SECRET_TOKEN": "new-token, old-token",
            "DB_PASSWORD": "pass-word",
            "INGEST_TOKENS": "ingest-1,ingest-2",
            "JWT_SECRET_KEY": "jwt-key",
            "USER_ID_KEY": "id-key",
            "KAFKA_SASL_PASS": "kafka-pass",
            "SOURCE_URL": "mysql://u:in-url@h/d",
            "BEA_SECRET_KEY": "bea-key",
            "SENTRY_DSN": "https://dsn-key@sentry.invalid/1",
            "UPTIMEKUMA_PUSH_URL": "https://kuma.invalid/x/kuma-token?status=up",
        }
    )
    assert set(settings.secrets) == {
        "new-token",
        "old-token",
        "pass-word",
        "ingest-1",
        "ingest-2",
        "jwt-key",
        "id-key",
        "kafka-pass",
        "in-url",
        "bea-key",
        "dsn-key",
        "kuma-token",
    }
    assert load({"SOURCE_URL": "sqlite:///sample.db"}).secrets == ()


def test_secrets_do_not_show() -> None:
    """Neither in the printed settings nor in errors about other settings."""
    secrets = {
        "ANALYTICS_SECRET_TOKEN": "hush-1",
        "DB_PASSWORD": "hush-2",
        "INGEST_TOKENS": "hush-7",
        "JWT_SECRET_KEY": "hush-8",
        "USER_ID_KEY": "hush-9",
        "KAFKA_SASL_PASS": "hush-10",
        "SOURCE_URL": "mysql://u:hush-3@h/d",
        "BEA_SECRET_KEY": "hush-4",
        "SENTRY_DSN": "https://hush-5@sentry.invalid/1",
        "UPTIMEKUMA_PUSH_URL": "https://kuma.invalid/api/push/hush-6",
    }
    settings = load(secrets)
    assert "hush" not in f"{settings} {settings!r}"
    with pytest.raises(SettingsError) as caught:
        load(secrets | {"DB_PORT": "x"})
    assert "hush" not in str(caught.value)


def test_the_environment_wins_over_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.env` in the working directory is for development."""
    (tmp_path / ".env").write_text("DB_NAME=from-file\nDB_USERNAME=file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DB_NAME", "from-environment")
    settings = load()
    assert (settings.db_name, settings.db_username) == ("from-environment", "file")


def test_empty_variables_count_as_missing_and_names_may_be_in_small_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable in `.env` may refer to others."""
    (tmp_path / ".env").write_text("DB_NAME=${NOWHERE}file\nDB_USERNAME=\nDB_PORT\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DB_NAME", "")
    monkeypatch.delenv("DB_PORT", raising=False)
    monkeypatch.setenv("db_host", "small")
    settings = load()
    given = settings.db_name, settings.db_username, settings.db_port, settings.db_host
    assert given == ("file", None, 3306, "small")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'DB_NAME=a\nTABLES="a,b":id\n', "line 2, TABLES, of .env cannot be read"),
        (b"DB_PASSWORD='it's'\n", "line 1, DB_PASSWORD, of .env cannot be read"),
        (b"some words\n", "line 1 of .env cannot be read: write NAME=value"),
        (b"DB_NAME=\xff\n", ".env cannot be read: it is not UTF-8"),
    ],
)
def test_a_line_of_the_env_file_that_cannot_be_read_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    """It would be left out, and its variable would have its default."""
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as raised:
        load()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "it's" not in str(raised.value)


def test_either_name_of_the_sentry_dsn_is_read() -> None:
    """SENTRY_DSN wins if both are set."""
    old = {"FPP_ANALYTICS_SENTRY_DSN": "https://old@s.invalid/1"}
    assert load(old).dsn == "https://old@s.invalid/1"
    new = old | {"SENTRY_DSN": "https://new@s.invalid/1"}
    assert load(new).dsn == "https://new@s.invalid/1"


def test_the_version_is_that_of_pyproject_toml() -> None:
    """One number in two places."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert project["project"]["version"] == config.VERSION


def test_a_snapshot_is_stale_after_three_sync_intervals() -> None:
    """The API's /health and the updater's status share this limit."""
    assert load({}).stale_after == timedelta(minutes=30)
    assert load({"SYNC_INTERVAL_SECONDS": "60"}).stale_after == timedelta(minutes=3)
