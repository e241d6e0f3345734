"""Replaying dead letters: what passes the checks becomes an event, once."""

import json
from pathlib import Path

import pytest

from config import Settings
from readmodel.store import snapshot
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.sync.forget import UserForms, forget
from readmodel.sync.replay import replay
from tests.support.events import collector_settings, line, rejected_line
from tests.support.stored_events import (
    NOW,
    actions,
    event_ids,
    letter_ids,
    rows,
    store,
)
from updater.dead_letters import DeadLetterCheck


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a collector that accepts every name."""
    return collector_settings(tmp_path / "spool")


def letter(rejection_id: str, event: object, **fields: object) -> dict[str, object]:
    """A dead letter of an unknown name."""
    return {
        **rejected_line(rejection_id, "unknown_name"),
        "raw": json.dumps(event),
        **fields,
    }


def test_what_passes_becomes_an_event_under_its_id(
    data: Path, settings: Settings
) -> None:
    """Arrival, sender and batch are those of the letter, which is removed."""
    event = {"name": "x", "id": "e1", "user_id": 7, "ts": 1_795_255_200, "a": 1}
    store(data, [letter("e1:unknown_name:5", event, event_id="e1"), line("e0")])
    report = replay(data, ["unknown_name"], DeadLetterCheck(settings), NOW)
    assert (report.accepted, report.repeated, report.rejected) == (1, 0, {})
    assert letter_ids(data) == []
    stored = rows(data, EVENTS).filter(event_id="e1").row(0, named=True)
    assert (stored["name"], stored["user_id"]) == ("x", "7")
    assert stored["properties"] == '{"a":1}'
    assert (stored["sender"], stored["batch"]) == ("token-1", "b1")
    assert stored["received_at"] == rows(data, EVENTS)["received_at"][0]
    assert stored["at"].timestamp() == 1_795_255_200
    assert actions(data)[-1] == "replay"


def test_replaying_twice_and_repeating_the_event_add_nothing(
    data: Path, settings: Settings
) -> None:
    """An event without an id gets that of its letter."""
    check = DeadLetterCheck(settings)
    events = [letter("r1", {"name": "x"}), letter("r2", {"name": "x", "id": "e2"})]
    store(data, events)
    assert replay(data, ["unknown_name"], check, NOW).accepted == 2
    assert replay(data, ["unknown_name"], check, NOW).snapshot is None
    store(data, events)
    report = replay(data, ["unknown_name"], check, NOW)
    assert (report.accepted, report.repeated) == (0, 2)
    assert event_ids(data) == ["e2", "r1"]
    assert letter_ids(data) == []
    assert actions(data)[-1] == "replay"


def test_what_still_fails_stays_as_it_is(
    data: Path, tmp_path: Path, settings: Settings
) -> None:
    """It is counted by why: another check, another content, an incomplete text."""
    strict = collector_settings(tmp_path / "spool", EVENT_TYPES="x")
    store(
        data,
        [
            line("e1", content=1),
            letter("r1", {"name": "y"}),
            letter("r2", {"name": ""}),
            letter("r3", {"name": "x", "id": "e1"}, event_id="e1"),
            letter("r4", 5),
            {**letter("r5", {}), "raw": '{"name":"x'},
            {**letter("r6", {"name": "x", "id": "i" * 300}), "code": "id"},
        ],
    )
    before = rows(data, REJECTED)
    codes = ["unknown_name", "id"]
    report = replay(data, codes, DeadLetterCheck(strict), NOW)
    assert (report.accepted, report.snapshot) == (0, None)
    assert report.rejected == {
        "unknown_name": 1,
        "name": 1,
        "conflict": 1,
        "not_an_object": 1,
        "cut_off": 1,
        "id": 1,
    }
    assert rows(data, REJECTED).equals(before)
    assert settings.event_types is None


def test_only_the_chosen_codes_are_replayed(data: Path, settings: Settings) -> None:
    """The others are not even read."""
    other = {**letter("r2", {"name": "x"}), "code": "clock"}
    store(data, [letter("r1", {"name": "x"}), other])
    assert replay(data, ["clock"], DeadLetterCheck(settings), NOW).accepted == 1
    assert letter_ids(data) == ["r1"]


def test_a_dry_run_changes_nothing(data: Path, settings: Settings) -> None:
    """It says what would happen."""
    store(data, [letter("r1", {"name": "x"})])
    before = snapshot.latest(data).id
    check = DeadLetterCheck(settings)
    assert replay(data, ["unknown_name"], check, NOW, dry_run=True).accepted == 1
    assert snapshot.latest(data).id == before


def test_a_conflict_can_be_replayed_when_the_first_event_is_gone(
    data: Path, settings: Settings
) -> None:
    """It becomes the event that it would have been."""
    sent = {"user_id": "u2", "properties": '{"a":1}', "sent_at": 1_000_000}
    store(data, [line("e1", content=1, user_id="u1")])
    store(data, [line("e1", content=2, second=5, **sent)])
    check = DeadLetterCheck(settings)
    assert replay(data, ["conflict"], check, NOW).rejected == {"conflict": 1}
    forget(data, UserForms({"u1"}, ("user_id",)), NOW)
    assert replay(data, ["conflict"], check, NOW).accepted == 1
    stored = rows(data, EVENTS).row(0, named=True)
    assert (stored["event_id"], stored["content_hash"]) == ("e1", 2)
    assert (stored["user_id"], stored["properties"]) == ("u2", '{"a":1}')
    assert stored["sent_at"].timestamp() == 1
    store(data, [line("e1", content=2, second=9, **sent)])
    assert letter_ids(data) == []


def test_pseudonyms_stay_and_raw_ids_are_replaced(tmp_path: Path, data: Path) -> None:
    """A letter from before the key was set must not leave the user's id behind."""
    keyed = collector_settings(tmp_path / "spool", USER_ID_KEY="k" * 32)
    pseudonym = "0123456789abcdef0123456789abcdef"
    store(
        data,
        [
            letter("r1", {"name": "x", "user_id": pseudonym}),
            letter("r2", {"name": "x", "user_id": "alice"}),
        ],
    )
    replay(data, ["unknown_name"], DeadLetterCheck(keyed), NOW)
    users = dict(rows(data, EVENTS).select("event_id", "user_id").iter_rows())
    assert users["r1"] == pseudonym
    assert users["r2"] != "alice"
    assert len(users["r2"]) == 32
