"""Pseudonyms instead of user ids."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from events.privacy import Pseudonyms, StoredPseudonyms
from tests.collector.conftest import StartCollector
from tests.collector.test_callers import post, token
from tests.support.events import spooled

NOVEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)


def test_without_a_key_ids_stay_as_they_are() -> None:
    """Free Planning Poker's own ids are random anyway."""
    assert Pseudonyms(None).of_user("u1", NOVEMBER) == "u1"


def test_a_pseudonym_is_128_bits_that_depend_on_the_key() -> None:
    """The same user has the same one."""
    one = Pseudonyms(b"key").of_user("u1", NOVEMBER)
    assert (len(one), int(one, 16) > 0) == (32, True)
    assert one == Pseudonyms(b"key").of_user("u1", DECEMBER)
    assert one != Pseudonyms(b"kez").of_user("u1", NOVEMBER)
    assert one != Pseudonyms(b"key").of_user("u2", NOVEMBER)


@pytest.mark.parametrize("epoch", ["month", "day"])
def test_a_new_epoch_gives_new_pseudonyms(epoch: str) -> None:
    """Nothing connects a user's events of two epochs."""
    pseudonyms = Pseudonyms(b"key", epoch)
    assert pseudonyms.of_user("u1", NOVEMBER) != pseudonyms.of_user("u1", DECEMBER)
    assert pseudonyms.of_user("u1", NOVEMBER) == Pseudonyms(b"key", epoch).of_user(
        "u1", NOVEMBER
    )


def test_no_user_id_reaches_the_spool(start: StartCollector, spool_dir: Path) -> None:
    """Not in events, dead letters or senders, whatever the field is called."""
    client = start(USER_ID_KEY="k" * 32)
    for event in (
        {"name": "a", "user_id": "alice-1"},
        {"name": "a", "userId": "alice-1", "ts": "never"},
        {"anonymousId": "alice-1"},
        {"user_id": {"in": "alice-1"}},
    ):
        client.post("/events", json=event)
    assert post(client, f"Bearer {token(sub='alice-1')}") == 202
    files = b"".join(file.read_bytes() for file in spool_dir.iterdir())
    assert b"alice" not in files
    users = {line["user_id"] for line in spooled(spool_dir) if "code" not in line}
    assert len(users) == 1


def test_all_pseudonyms_of_a_user_can_be_computed() -> None:
    """Those of all epochs between two instants, and the id itself."""
    first, last = (
        datetime(2026, 1, 30, 23, tzinfo=UTC),
        datetime(2026, 2, 2, 1, tzinfo=UTC),
    )
    found = Pseudonyms(b"key", "day").all_of_user("u", first, last)
    expected = {"u"}
    for epoch in ("never", "month", "day"):
        pseudonyms = Pseudonyms(b"key", epoch)
        day = first
        while day <= last + timedelta(hours=23):
            expected.add(pseudonyms.of_user("u", min(day, last)))
            day += timedelta(hours=1)
    assert found == expected
    assert len(found) == 1 + 1 + 2 + 4
    assert Pseudonyms(None).all_of_user("u", first, last) == {"u"}


def test_pseudonyms_of_dead_letters_are_not_replaced_again() -> None:
    """An id that was stored before the key was set is."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    stored = StoredPseudonyms(b"key")
    pseudonym = Pseudonyms(b"key").of_user("u", moment)
    assert stored.of_user(pseudonym, moment) == pseudonym
    assert stored.of_user("u", moment) == pseudonym
    assert StoredPseudonyms(None).of_user("u", moment) == "u"


def test_half_of_a_surrogate_pair_has_a_pseudonym_too() -> None:
    """The event is rejected, and its dead letter must not hold the id."""
    assert len(Pseudonyms(b"k").of_user("\ud800", NOVEMBER)) == 32
