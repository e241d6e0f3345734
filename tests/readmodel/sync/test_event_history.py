"""Random histories of events, replays, retention and forgetting, against plain Python."""

import json
import random
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.instants import EPOCH, MICROSECOND, microseconds
from readmodel.sync import event_publish
from readmodel.sync.forget import UserForms, forget
from readmodel.sync.replay import replay
from readmodel.sync.retention import apply_retention
from readmodel.sync.verify_audit import verify_audit
from tests.support.effort import examples
from tests.support.events import collector_settings, line, rejected_line
from tests.support.stored_events import NOW, actions, event_ids, letter_ids, store
from updater.dead_letters import DeadLetterCheck

USERS = ("u0", "u1", "u2")
STEPS = 8
OF_REPLAY = -1
"""The content of a replayed event: another one than that of all lines."""


@dataclass(slots=True)
class History:
    """What must be stored: ids with arrival, user and content; letters also pass or not."""

    now: datetime = NOW
    events: dict[str, tuple[datetime, str, int]] = field(default_factory=dict)
    letters: dict[str, tuple[datetime, str, bool]] = field(default_factory=dict)
    number: int = 0

    def next_id(self) -> str:
        """An id that nothing has."""
        self.number += 1
        return f"{self.number:04}"


def drain(history: History, chance: random.Random, data: Path) -> None:
    """Some new events, some repetitions, some contradictions, some dead letters."""
    lines: list[dict[str, Any]] = []
    ids = sorted(history.events)
    for _ in range(chance.randint(1, 5)):
        days = chance.choice([0, 0, 1, 9, 40])
        at = microseconds(history.now - timedelta(days=days))
        if chance.random() < 0.7 or not ids:
            ids.append(history.next_id())
        user, content = chance.choice(USERS), chance.randint(0, 1)
        event_id = ids[-1] if chance.random() < 0.7 else chance.choice(ids)
        arrived: dict[str, Any] = {
            "at": at,
            "received_at": at,
            "user_id": user,
            "sender": user,
        }
        lines.append(line(event_id, content, **arrived))
    lines.sort(key=lambda each: each["received_at"])  # who arrives first stays
    for each in lines:
        event_id = each["event_id"]
        moment = EPOCH + each["at"] * MICROSECOND
        found = (moment, each["user_id"], each["content_hash"])
        stored = history.events.setdefault(event_id, found)
        if stored[2] != found[2]:
            letter = f"{event_id}:conflict:{found[2]}"
            history.letters.setdefault(letter, (moment, found[1], False))
    for _ in range(chance.randint(0, 3)):
        moment = history.now - timedelta(days=chance.choice([0, 3, 40]))
        user, passes = chance.choice(USERS), chance.random() < 0.5
        letter = history.next_id()
        event = {"name": "x" if passes else "", "user_id": user}
        rejected = rejected_line(letter, "schema", received_at=microseconds(moment))
        lines.append({**rejected, "raw": json.dumps(event)})
        history.letters[letter] = (moment, user, passes)
    store(data, lines, now=history.now)


def replay_all(history: History, chance: random.Random, data: Path) -> None:
    """The letters that pass become events under their ids."""
    assert chance
    check = DeadLetterCheck(collector_settings(data.parent / "spool"))
    report = replay(data, ["schema"], check, history.now)
    passed = [letter for letter, (*_, passes) in history.letters.items() if passes]
    assert report.accepted == len(passed)
    for letter in passed:
        at, user, _ = history.letters.pop(letter)
        history.events[letter] = (at, user, OF_REPLAY)


def retain(history: History, chance: random.Random, data: Path) -> None:
    """Days go by, and what is too old goes."""
    history.now += timedelta(days=chance.randint(0, 3))
    days = chance.choice([5, 20, 90])
    apply_retention(data, days, history.now)
    midnight = history.now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - timedelta(days=days)
    keep(history, lambda at, _: at >= first)


def forget_user(history: History, chance: random.Random, data: Path) -> None:
    """All rows of one user."""
    user = chance.choice(USERS)
    forget(data, UserForms({user}, ("user_id",)), history.now)
    keep(history, lambda _, other: other != user)


def keep(history: History, is_kept: Any) -> None:
    """Remove the others."""
    for rows in (history.events, history.letters):
        for name, (at, user, _) in list(rows.items()):
            if not is_kept(at, user):
                del rows[name]


@pytest.mark.parametrize("seed", range(examples(4, 100)))
def test_every_history_ends_with_the_rows_that_it_must(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each step, and the audit log accounts for them."""
    monkeypatch.setattr(event_publish, "PART_ROWS", 4)
    chance, history = random.Random(seed), History()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        drain(history, chance, data)
        for _ in range(STEPS):
            step = chance.choice([drain, drain, replay_all, retain, forget_user])
            step(history, chance, data)
            assert event_ids(data) == sorted(history.events), step
            assert letter_ids(data) == sorted(history.letters), step
            assert actions(data)
        (found,) = verify_audit(data)
        assert found.differences == ()
