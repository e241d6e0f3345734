"""The daily report: once per day, in order, and never twice whatever fails when."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
import update_readmodel
from bench.data import write
from demo.sample import sample
from readmodel.store import snapshot
from readmodel.store.report_ledger import (
    FOLDER,
    ReportState,
    claimed,
    outcome_file,
    read_report,
)
from tests.support.effort import examples
from tests.support.killing import Killed, killed_before
from tests.support.programs import run_updater
from tests.support.servers import StubServer, closed_port, serving
from updater.daily_report import DailyReporter, due_days
from util.errors import SettingsError, StorageError
from util.http_client import send_daily
from util.metrics import UpdaterMetrics
from util.stopping import StopRequest

TAKEN_AT = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 19)
"""The last day that is over in the read model, in UTC."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read model of TAKEN_AT with some hundred rows."""
    folder = tmp_path_factory.mktemp("report") / "data"
    write(sample(TAKEN_AT, 0.01), folder)
    return folder


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A copy of the read model without reports."""
    shutil.copytree(template, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture
def mailer() -> Iterator[StubServer]:
    """A local server that stands in for the e-mail service."""
    with serving() as running:
        yield running


def settings_of(data_dir: Path, url: str, **changes: str) -> config.Settings:
    """Settings of an updater that sends the reports to *url*."""
    return config.load(
        {
            "DATA_DIR": str(data_dir),
            "SOURCE_URL": "sqlite:///unused.db",
            "REPORT_SENDER": "updater",
            "BEA_BASE_URL": url,
            "BEA_SECRET_KEY": "s3cret",
            **changes,
        }
    )


def reporter_of(settings: config.Settings) -> DailyReporter:
    """A reporter of a freshly started updater."""
    return DailyReporter(settings, UpdaterMetrics().daily_reports, StopRequest())


def at(data_dir: Path, taken_at: datetime) -> Any:
    """Let the read model be of another instant."""
    current = snapshot.current(data_dir)
    manifest = current.manifest
    assert manifest is not None

    class Later:
        """The same snapshot, taken later."""

        scan = current.scan
        visits = current.visits

    Later.taken_at = taken_at  # type: ignore[attr-defined]
    return patch("updater.daily_report.snapshot.current", lambda _: Later)


def state_of(data_dir: Path, day: date = DAY, attempt: int = 1) -> ReportState:
    """The state of a report in the ledger."""
    return read_report(data_dir, day, attempt).state


def test_a_day_is_posted_once_with_the_figures_of_that_day(
    data_dir: Path, mailer: StubServer
) -> None:
    """A restarted updater posts nothing again; the ledger has the bytes and the key."""
    settings = settings_of(data_dir, f"{mailer.url}/daily", INSTALLATION="berlin")
    assert reporter_of(settings).run()
    assert reporter_of(settings).run()
    (request,) = mailer.requests
    assert request.headers["idempotency-key"] == "berlin/day/2026-11-19"
    assert request.headers["authorization"] == "Bearer s3cret"
    report = read_report(data_dir, DAY, 1)
    assert (report.body, report.state) == (request.body, ReportState.SENT)
    assert request.json == figures_of(data_dir, DAY)
    assert request.json["votes"] > 0


def figures_of(data_dir: Path, day: date) -> dict[str, int]:
    """The figures of *day* in UTC, counted in plain Python."""
    current = snapshot.current(data_dir)

    def rows(table: str, column: str) -> list[dict[str, Any]]:
        found = current.scan(table).collect().to_dicts()
        return [row for row in found if row[column] and row[column].date() == day]

    votes = rows("fpp_votes", "voted_at")
    views = rows("fpp_page_views", "viewed_at")
    return {
        "votes": len(votes),
        "estimations": sum(vote["amount_of_estimations"] or 0 for vote in votes),
        "rooms": len({vote["room_id"] for vote in votes} - {None}),
        "unique_users": len({view["user_id"] for view in views} - {None}),
        "page_views": len(views),
    }


def test_the_day_ends_at_midnight_in_the_zone(
    data_dir: Path, mailer: StubServer
) -> None:
    """At 18:00 UTC the next day has begun in Auckland."""
    settings = settings_of(data_dir, mailer.url, TIMEZONE="Pacific/Auckland")
    assert reporter_of(settings).run()
    assert list(claimed(data_dir)) == [date(2026, 11, 20)]


def test_late_days_follow_in_order(data_dir: Path, mailer: StubServer) -> None:
    """Also after a service that could not be reached: it holds up the later days."""
    settings = settings_of(data_dir, mailer.url)
    assert reporter_of(settings).run()
    nobody = settings_of(data_dir, f"http://127.0.0.1:{closed_port()}")
    with at(data_dir, TAKEN_AT + timedelta(days=3)):
        assert not reporter_of(nobody).run()
        assert list(claimed(data_dir)) == [DAY]
        assert reporter_of(settings).run()
    keys = [request.headers["idempotency-key"] for request in mailer.requests]
    assert keys == [f"fpp-analytics/day/2026-11-{day}" for day in (19, 20, 21, 22)]


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ({"status": 500}, ReportState.REFUSED),
        ({"status": 301}, ReportState.REFUSED),
        ({"drop": True}, ReportState.UNKNOWN),
        ({"delay": 1.0}, ReportState.UNKNOWN),
    ],
    ids=["error", "redirect", "dropped", "late"],
)
def test_an_outcome_other_than_accepted_is_not_tried_again(
    data_dir: Path,
    mailer: StubServer,
    answers: dict[str, Any],
    state: ReportState,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is reported, and the next day follows."""
    for name, value in answers.items():
        setattr(mailer, name, value)
    settings = settings_of(data_dir, mailer.url)
    impatient = partial(send_daily, timeout=timedelta(seconds=0.3))
    with patch("updater.daily_report.send_daily", impatient):
        assert not reporter_of(settings).run()
        assert reporter_of(settings).run(), "nothing more is due"
    assert len(mailer.requests) == 1
    assert state_of(data_dir) is state
    assert "e-mail service" in caplog.text
    mailer.status, mailer.drop, mailer.delay = 200, False, 0.0
    with at(data_dir, TAKEN_AT + timedelta(days=1)):
        assert reporter_of(settings).run()
    assert list(claimed(data_dir)) == [DAY, DAY + timedelta(days=1)]


def test_a_service_that_cannot_be_reached_is_tried_after_the_next_sync(
    data_dir: Path, mailer: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was sent, so the claim is released; the same failure is reported once."""
    nobody = reporter_of(settings_of(data_dir, f"http://127.0.0.1:{closed_port()}"))
    assert [nobody.run(), nobody.run()] == [False, False]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert claimed(data_dir) == {}
    assert reporter_of(settings_of(data_dir, mailer.url)).run()
    assert state_of(data_dir) is ReportState.SENT


def test_whenever_it_dies_there_are_never_two_posts(
    template: Path, tmp_path: Path, mailer: StubServer
) -> None:
    """Killed before each change of the disk and before and after the post."""
    finished, step = False, 0
    posts: set[int] = set()
    while not finished:
        step += 1
        folder = tmp_path / f"{step}"
        shutil.copytree(template, folder, symlinks=True)
        settings = settings_of(folder, mailer.url)
        mailer.requests.clear()
        with killed_before(step, {"updater.daily_report.send_daily": send_daily}):
            try:
                reporter_of(settings).run()
                finished = True
            except Killed:
                pass
        assert reporter_of(settings).run()
        assert reporter_of(settings).run()
        assert len(mailer.requests) <= 1, step
        posts.add(len(mailer.requests))
        assert list(claimed(folder)) == [DAY], step
        if not mailer.requests:
            assert state_of(folder) is ReportState.UNKNOWN
        with at(folder, TAKEN_AT + timedelta(days=1)):
            assert reporter_of(settings).run()
        assert not list((folder / FOLDER).glob(".*")), step
        shutil.rmtree(folder)
    assert step > 8
    assert posts == {0, 1}


def test_a_claim_that_cannot_be_written_sends_nothing(
    data_dir: Path, mailer: StubServer
) -> None:
    """A full disk delays the report, and the sync is not affected."""
    settings = settings_of(data_dir, mailer.url)
    full = OSError(28, "No space left on device")
    with patch("os.fsync", side_effect=full):
        assert not reporter_of(settings).run()
    assert mailer.requests == []
    assert reporter_of(settings).run()
    assert len(mailer.requests) == 1


def test_a_damaged_outcome_or_claim_is_never_sent_again(
    data_dir: Path, mailer: StubServer
) -> None:
    """A damaged outcome is unknown; of a damaged claim the name still counts."""
    settings = settings_of(data_dir, mailer.url)
    assert reporter_of(settings).run()
    outcome_file(data_dir, DAY, 1).write_bytes(b"\xff{")
    report = read_report(data_dir, DAY, 1)
    assert (report.state, report.detail) == (
        ReportState.UNKNOWN,
        "2026-11-19.1.outcome.json is damaged",
    )
    (data_dir / FOLDER / "2026-11-19.1.claim.json").write_bytes(b"[]")
    with pytest.raises(StorageError, match=r"2026-11-19\.1\.claim\.json is damaged"):
        read_report(data_dir, DAY, 1)
    assert reporter_of(settings).run()
    assert len(mailer.requests) == 1


def test_only_a_person_sends_a_day_again(
    data_dir: Path,
    mailer: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a key of its own, so that the service takes it, and with the reason."""
    mailer.status = 500
    settings = settings_of(data_dir, mailer.url)
    assert not reporter_of(settings).run()
    mailer.status = 200
    monkeypatch.setattr("startup.load_settings", lambda: settings)
    again = ["report", "--day", "2026-11-19", "--send-again", "--why", "it was down"]
    assert update_readmodel.main(again) == 0
    assert capsys.readouterr().out == "The report of 2026-11-19: sent\n"
    first, second = mailer.requests
    assert first.body == second.body
    assert second.headers["idempotency-key"] == "fpp-analytics/day/2026-11-19/2"
    assert update_readmodel.main(["report"]) == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.startswith("2026-11-19  sent")
    assert newest.endswith("it was down")
    assert oldest.startswith("2026-11-19  refused")
    assert oldest.endswith("The e-mail service answered 500")


def test_a_day_that_is_not_over_cannot_be_sent(
    data_dir: Path,
    mailer: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message says until when the read model goes."""
    settings = settings_of(data_dir, mailer.url)
    monkeypatch.setattr("startup.load_settings", lambda: settings)
    again = ["report", "--day", "2026-11-20", "--send-again", "--why", "now"]
    assert update_readmodel.main(again) == 1
    assert capsys.readouterr().err == (
        "The report was not sent: --day: 2026-11-20 is not over in the read model, "
        "which is of 2026-11-20 18:00 UTC\n"
    )
    assert mailer.requests == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BEA_SECRET_KEY": ""}, "BEA_BASE_URL or BEA_SECRET_KEY is missing"),
        ({"TABLES": "fpp_votes:id"}, "does not mirror fpp_page_views"),
    ],
)
def test_an_updater_that_cannot_report_does_not_start(
    data_dir: Path, changes: dict[str, str], message: str
) -> None:
    """The line names the setting."""
    settings = settings_of(data_dir, "http://127.0.0.1:1", **changes)
    with pytest.raises(SettingsError, match=message):
        reporter_of(settings)


@given(
    st.sets(st.dates(date(2026, 1, 1), date(2027, 1, 1)), max_size=8),
    st.dates(date(2026, 1, 1), date(2027, 1, 1)),
    st.integers(1, 40),
)
@hypothesis.settings(max_examples=examples(200))
def test_due_days_are_those_after_the_last_claim(
    days: set[date], complete: date, limit: int
) -> None:
    """Counted day by day."""
    past = {day for day in days if day <= complete}
    due = due_days(days, complete, limit)
    if not past:
        assert due == [complete]
        return
    expected, day = [], max(past) + timedelta(days=1)
    while day <= complete:
        expected.append(day)
        day += timedelta(days=1)
    assert due == expected[-limit:]


def test_days_that_are_too_late_are_named(
    data_dir: Path,
    mailer: StubServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are not sent, and the log says how to send one."""
    settings = settings_of(data_dir, mailer.url)
    assert reporter_of(settings).run()
    monkeypatch.setattr("updater.daily_report.MAX_LATE_DAYS", 2)
    with at(data_dir, TAKEN_AT + timedelta(days=4)):
        assert reporter_of(settings).run()
    assert "The reports of 2026-11-20 to 2026-11-21 are not sent" in caplog.text
    assert len(mailer.requests) == 1 + 2


def test_a_sync_is_followed_by_the_report(
    database_file: Path, tmp_path: Path, mailer: StubServer
) -> None:
    """By the real program; a second sync finds the day reported."""
    data_dir = tmp_path / "synced"
    settings = {
        "SOURCE_URL": f"sqlite:///{database_file}",
        "DATA_DIR": str(data_dir),
        "REPORT_SENDER": "updater",
        "BEA_BASE_URL": mailer.url,
        "BEA_SECRET_KEY": "s3cret",
    }
    for _ in range(2):
        assert run_updater(settings).returncode == 0
    (request,) = mailer.requests
    (day,) = claimed(data_dir)
    assert day == snapshot.current(data_dir).taken_at.date() - timedelta(days=1)
    assert read_report(data_dir, day, 1).body == request.body
