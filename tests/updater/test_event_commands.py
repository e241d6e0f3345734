"""The commands replay, retention, forget and verify: output, run log, exit codes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import update_readmodel
from config import load
from events.instants import microseconds
from events.privacy import Pseudonyms
from readmodel.store import run_log, snapshot
from readmodel.store.event_tables import AUDIT
from readmodel.sync.append_run import append_run
from tests.support.events import line, rejected_line, write_spool
from tests.support.runs import run
from tests.support.snapshots import flip_a_bit, replace_by_other_bytes
from tests.support.stored_events import actions, event_ids, letter_ids, store
from updater.event_retention import DailyRetention
from util.stopping import StopRequest

TODAY = datetime.now(UTC)
KEY = "key-of-user-ids-0123456789abcdef"


@pytest.fixture
def data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The DATA_DIR of the commands; logs stay as pytest sets them up."""
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    monkeypatch.setenv("SPOOL_DIR", str(data_dir.parent / "spool"))
    monkeypatch.setattr("startup.start", lambda *_: None)
    monkeypatch.setattr(StopRequest, "listen", lambda _: None)
    return data_dir


def arrived(days: float = 0, **fields: object) -> dict[str, Any]:
    """Fields of a line that arrived *days* ago."""
    at = microseconds(TODAY - timedelta(days=days))
    return {"received_at": at, "at": at, **fields}


def test_replay_says_what_it_does_and_is_in_the_run_log(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run is neither; the log's summary of syncs is not touched."""
    raw = json.dumps({"name": "x"})
    store(data, [rejected_line("r1", "clock", raw=raw), rejected_line("r2", "clock")])
    append_run(data, run(0, success=False))
    command = ["replay", "--code", "clock", "--code", "name"]
    assert update_readmodel.main([*command, "--dry-run"]) == 0
    said = "1 became events, 0 were events already, 1 stay (name 1)"
    output = capsys.readouterr().out
    assert said in output
    assert "nothing was changed" in output
    assert event_ids(data) == []
    assert update_readmodel.main(command) == 0
    assert said in capsys.readouterr().out
    assert event_ids(data) == ["r1"]
    newest = run_log.recent_runs(data, 1)[0]
    assert said in newest.message
    assert newest.tables["events"].rows_added == 1
    summary = run_log.read_summary(data)
    assert summary
    assert (summary.failures_in_a_row, summary.last_success_at) == (1, None)


def test_retention_is_a_command(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By EVENT_RETENTION_DAYS, which is 90 by default."""
    store(data, [line("e1", **arrived(100)), line("e2", **arrived(80))])
    assert update_readmodel.main(["retention", "--dry-run"]) == 0
    assert "Removed 1 events and 0 dead letters" in capsys.readouterr().out
    assert len(event_ids(data)) == 2
    assert update_readmodel.main(["retention"]) == 0
    assert event_ids(data) == ["e2"]
    assert "Removed 1 events" in run_log.recent_runs(data, 1)[0].message
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "0")
    capsys.readouterr()
    assert update_readmodel.main(["retention"]) == 0
    assert "kept for ever" in capsys.readouterr().out


def test_retention_is_applied_once_a_day_by_the_updater(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also on the day after; a failure is reported, and tried again on the next day."""
    now = TODAY
    retention = DailyRetention(data, 2, lambda: now)
    store(data, [line("e1", **arrived(5)), line("e2", **arrived())], now=TODAY)
    retention.run()
    assert event_ids(data) == ["e2"]
    store(data, [line("e3", **arrived(5))], now=TODAY)
    retention.run()
    assert event_ids(data) == ["e2", "e3"]
    assert actions(data) == ["batches", "retention", "batches"]
    flip_a_bit(Path(snapshot.latest(data).files("events")[0]))
    before = snapshot.latest(data).id
    now += timedelta(days=1)
    retention.run()
    assert snapshot.latest(data).id == before
    assert [r.levelname for r in caplog.records if r.name.startswith("fpp")][-1:] == [
        "ERROR"
    ]


def test_forget_finds_raw_ids_and_pseudonyms_of_all_epochs(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what waits in the spool; the user's id is neither printed nor logged."""
    monkeypatch.setenv("USER_ID_KEY", KEY)
    monkeypatch.setenv("USER_ID_EPOCH", "month")
    settings = load({"USER_ID_KEY": KEY})
    assert settings.user_id_key
    stored = ["user-one"]
    for epoch in ("never", "month", "day"):
        before = TODAY - timedelta(days=40)
        pseudonyms = Pseudonyms(KEY.encode(), epoch)
        stored += [pseudonyms.of_user("user-one", day) for day in (before, TODAY)]
    other = Pseudonyms(KEY.encode()).of_user("user-two", TODAY)
    lines = [
        line(f"e{number}", **arrived(40), user_id=user)
        for number, user in enumerate(stored)
    ]
    letter = rejected_line("r1", raw=json.dumps({"user_id": stored[2]}))
    store(data, [*lines, line("k1", **arrived(), user_id=other), letter])
    waiting = line("w1", **arrived(), user_id=stored[-1])
    write_spool(data.parent / "spool", [waiting], 10**6)
    assert update_readmodel.main(["forget", "user-one", "--dry-run"]) == 0
    assert "removed 7 events and 1 dead letters" in capsys.readouterr().out
    assert len(event_ids(data)) == 8
    assert update_readmodel.main(["forget", "user-one"]) == 0
    output = capsys.readouterr().out
    assert "removed 8 events and 1 dead letters" in output
    assert "Earlier snapshots still have these rows" in output
    assert "user-one" not in output
    assert (event_ids(data), letter_ids(data)) == (["k1"], [])
    newest = run_log.recent_runs(data, 1)[0]
    assert newest.tables["events"].rows_removed == 8
    assert "user-one" not in newest.message


def test_verify_checks_the_audit_log_first(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a database, too: exit code 1 if the chain is broken."""
    monkeypatch.setenv("TABLES", "none")
    store(data, [line("e1")])
    assert update_readmodel.main(["verify"]) == 0
    assert "audit" in capsys.readouterr().out
    flip_a_bit(Path(snapshot.latest(data).files(AUDIT)[0]))
    assert update_readmodel.main(["verify"]) == 1
    assert "audit/part-00000.parquet" in capsys.readouterr().out


def test_schemas_that_cannot_be_read_stop_a_replay(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sentence that the collector would refuse to start with."""
    monkeypatch.setenv("EVENT_SCHEMAS_DIR", str(data / "missing"))
    assert update_readmodel.main(["replay", "--code", "clock"]) == 1
    assert "EVENT_SCHEMAS_DIR" in capsys.readouterr().err


def test_status_counts_dead_letters(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By code; nothing is said without any."""
    store(data, [line("e1"), rejected_line("r1"), rejected_line("r2", "clock")])
    assert update_readmodel.main(["status"]) == 0
    assert "dead letters: clock 1, name 1" in capsys.readouterr().out
    assert update_readmodel.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dead_letters"] == {"clock": 1, "name": 1}


def test_status_says_which_file_of_dead_letters_is_damaged(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And all else as ever."""
    store(data, [line("e1"), rejected_line("r1")])
    (part,) = (data / "current").resolve().glob("events_rejected.parquet/part-*")
    replace_by_other_bytes(part)
    assert update_readmodel.main(["status"]) == 0
    said = capsys.readouterr().out
    assert "! dead letters: a file of events_rejected is damaged" in said
    assert "runs, newest first" in said or "No run yet" in said
    assert update_readmodel.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dead_letters"] is None
