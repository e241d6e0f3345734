"""Forgetting a user: events, dead letters and the sender in the audit log."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from readmodel.store import snapshot
from readmodel.store.event_tables import AUDIT, EVENTS
from readmodel.sync.forget import UserForms, first_arrival, forget
from tests.support.events import AT, line, rejected_line
from tests.support.stored_events import (
    NOW,
    actions,
    event_ids,
    letter_ids,
    rows,
    store,
)

FIELDS = ("user_id", "userId", "anonymous_id", "anonymousId")


def user(*texts: str) -> UserForms:
    """A user that is stored as *texts*."""
    return UserForms(set(texts), FIELDS)


def letter(rejection_id: str, event: object, **fields: object) -> dict[str, object]:
    """A dead letter of *event*."""
    raw = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return {**rejected_line(rejection_id), "raw": raw, **fields}


def test_all_forms_of_a_user_go_and_nobody_else(tmp_path: Path) -> None:
    """A user whose id contains the other one's stays, too."""
    data = tmp_path / "data"
    sent = [
        line("e1", user_id="u1"),
        line("e2", user_id="hash"),
        line("e3", user_id="u11"),
        line("e4"),
    ]
    store(data, sent)
    report = forget(data, user("u1", "hash"), NOW)
    assert (report.events, report.rejected) == (2, 0)
    assert event_ids(data) == ["e3", "e4"]
    assert actions(data) == ["batches", "forget"]


def test_dead_letters_go_that_name_the_user(tmp_path: Path) -> None:
    """By any field, as a number, cut off in the middle, or sent by it without a name."""
    data = tmp_path / "data"
    store(
        data,
        [
            line("e1", user_id="9"),
            letter("r1", {"userId": 7}),
            letter("r2", {"anonymous_id": "7"}),
            letter("r3", '{"user_id":"7","properties":{"a":"b'),
            letter("r4", {"properties": {"a": 7}}, sender="7"),
            letter("r5", '"text"', sender="7"),
            letter("k1", {"user_id": "8", "properties": {"friend": "7"}}),
            letter("k2", {"user_id": "8"}, sender="7"),
            letter("k3", {"user_id": "77"}),
            letter("k4", '{"user_id":"9","properties":{"a":"b'),
        ],
    )
    assert forget(data, user("7"), NOW).rejected == 5
    assert letter_ids(data) == ["k1", "k2", "k3", "k4"]


def test_ids_with_quotes_and_other_letters_are_found(tmp_path: Path) -> None:
    """JSON writes them in another way."""
    data = tmp_path / "data"
    strange = 'a"b\\c é'
    store(
        data,
        [line("e1", user_id=strange), letter("r1", {"user_id": strange}), line("e2")],
    )
    report = forget(data, user(strange), NOW)
    assert (report.events, report.rejected) == (1, 1)


def test_the_audit_log_forgets_the_sender_and_keeps_its_chain(tmp_path: Path) -> None:
    """Counts stay; a hash that nobody can compute again takes the sender's place."""
    data = tmp_path / "data"
    mine: dict[str, Any] = {"user_id": "u1", "sender": "u1"}
    store(data, [line("e1", **mine), line("e2")], [line("e3", **mine)])
    assert forget(data, user("u1"), NOW).senders == 2
    log = rows(data, AUDIT)
    assert log["sender"].to_list() == [None, "token-1", None, None]
    assert log["salt"].null_count() == 3
    assert log["sender_hash"].null_count() == 1
    store(data, [line("e4")])
    assert actions(data) == ["batches"] * 3 + ["forget", "batches"]


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    """So does forgetting a user who is not there."""
    data = tmp_path / "data"
    store(data, [line("e1", user_id="u1"), letter("r1", {"user_id": "u1"})])
    before = snapshot.latest(data).id
    report = forget(data, user("u1"), NOW, dry_run=True)
    assert (report.events, report.rejected, report.snapshot) == (1, 1, None)
    assert forget(data, user("u2"), NOW).snapshot is None
    assert snapshot.latest(data).id == before


def test_no_file_of_the_new_snapshot_has_the_user(tmp_path: Path) -> None:
    """Neither compressed nor in the statistics of a column."""
    data = tmp_path / "data"
    store(data, [line("e1", user_id="user-to-forget", sender="user-to-forget")])
    forget(data, user("user-to-forget"), NOW)
    for name in (EVENTS, "events_rejected", AUDIT):
        for file in snapshot.latest(data).files(name):
            assert b"user-to-forget" not in Path(file).read_bytes()
            frame = pl.read_parquet(file)
            assert "user-to-forget" not in str(frame.to_dicts())


def test_the_first_arrival_is_that_of_the_oldest_row(tmp_path: Path) -> None:
    """Pseudonyms of later epochs are enough."""
    data = tmp_path / "data"
    assert first_arrival(data) is None
    store(data, [line("e1", second=60), rejected_line("r1")])
    assert first_arrival(data) == AT
