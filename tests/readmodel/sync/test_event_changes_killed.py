"""Replay, retention and forget, killed at each of their steps, one after the other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from readmodel.sync.forget import UserForms, forget
from readmodel.sync.replay import replay
from readmodel.sync.retention import apply_retention
from tests.support.effort import some_long
from tests.support.events import collector_settings, line, rejected_line
from tests.support.killing import at_each_step
from tests.support.stored_events import NOW, actions, event_ids, letter_ids, store
from updater.dead_letters import DeadLetterCheck

DAY = 86_400


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of two days and of two users, and a dead letter that would pass now."""
    folder = tmp_path_factory.mktemp("changes")
    letter = {**rejected_line("r1", "clock"), "raw": json.dumps({"name": "x"})}
    mine: dict[str, Any] = {"user_id": "u1", "sender": "u1"}
    store(folder / "data", [line("e1"), letter])
    store(folder / "data", [line("e2", second=3 * DAY, **mine)])
    return folder


def retain(data: Path) -> None:
    """Remove what arrived on the first day."""
    apply_retention(data, 2, NOW)


def forget_user(data: Path) -> None:
    """Remove the second user."""
    forget(data, UserForms({"u1"}, ("user_id",)), NOW)


def replay_all(data: Path) -> None:
    """Replay the dead letter."""
    settings = collector_settings(data.parent / "spool")
    replay(data, ["clock"], DeadLetterCheck(settings), NOW)


@pytest.mark.parametrize(
    ("change", "action", "after"),
    some_long(
        [
            (retain, "retention", (["e2"], [])),
            (forget_user, "forget", (["e1"], ["r1"])),
            (replay_all, "replay", (["e1", "e2", "r1"], [])),
        ]
    ),
)
def test_whenever_it_dies_the_state_is_that_before_or_after(
    change: Callable[[Path], None],
    action: str,
    after: tuple[list[str], list[str]],
    template: Path,
) -> None:
    """The audit log always says how many rows there are; once more completes it."""
    before = (["e1", "e2"], ["r1"])
    seen = []
    for step, folder in at_each_step(template, lambda copy: change(copy / "data")):
        data = folder / "data"
        seen.append((event_ids(data), letter_ids(data)))
        assert actions(data)[2:] == ([action] if seen[-1] == after else []), step
        change(data)
        assert (event_ids(data), letter_ids(data)) == after, step
        assert actions(data)[2:] == [action], step
    assert step > 15
    assert all(state in (before, after) for state in seen)
    assert seen[0] == before
    assert seen[-1] == after
