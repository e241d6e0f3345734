"""Which snapshots are kept: all of the last hour, then hourly, then daily."""

from datetime import UTC, datetime, timedelta

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from readmodel.sync.snapshot_retention import KEEP_NEWEST, KEEP_YOUNGER, kept_instants
from tests.support.effort import examples

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
MINUTES = st.integers(0, 60 * 24 * 5)


def ago(**units: float) -> datetime:
    """An instant before NOW."""
    return NOW - timedelta(**units)


def test_a_worked_example() -> None:
    """By hand, with a retention of three days."""
    instants = [
        ago(minutes=1),
        ago(minutes=2),
        ago(minutes=40),
        ago(minutes=41),
        ago(hours=5, minutes=10),  # 13:20
        ago(hours=5, minutes=20),  # 13:10, not the last of its hour
        ago(hours=30),  # the 19th, 12:30
        ago(hours=35),  # the 19th, 07:30, not the last of its day
        ago(days=4),  # too old
    ]
    kept = kept_instants(instants, NOW, timedelta(days=3))
    assert sorted(set(instants) - kept) == [ago(days=4), ago(hours=35), instants[5]]


def test_by_default_only_the_newest_and_youngest_are_kept() -> None:
    """As long as a request may take."""
    instants = [ago(minutes=m) for m in (1, 5, 9, 11, 12, 13)]
    assert kept_instants(instants, NOW) == {ago(minutes=m) for m in (1, 5, 9)}
    old = [ago(days=d) for d in (1, 2, 3, 4)]
    assert kept_instants(old, NOW) == set(old[:3])


def plainly(
    instants: set[datetime], now: datetime, retention: timedelta
) -> set[datetime]:
    """The rule of the documentation, one instant after the other."""
    kept = set()
    for instant in instants:
        age = now - instant
        later = [other for other in instants if other > instant]
        is_last_of_hour = not any(
            o.replace(minute=0, second=0) == instant.replace(minute=0, second=0)
            and timedelta(hours=1) < now - o <= timedelta(hours=24)
            for o in later
        )
        is_last_of_day = not any(
            o.date() == instant.date() and now - o > timedelta(hours=24) for o in later
        )
        if len(later) < KEEP_NEWEST or age <= KEEP_YOUNGER:
            kept.add(instant)
        elif age > retention:
            continue
        elif age <= timedelta(hours=1):
            kept.add(instant)
        elif age <= timedelta(hours=24):
            if is_last_of_hour:
                kept.add(instant)
        elif is_last_of_day:
            kept.add(instant)
    return kept


@given(st.sets(MINUTES, max_size=40), st.integers(1, 60 * 24 * 5))
@hypothesis.settings(max_examples=examples(200))
def test_it_equals_the_rule_applied_one_by_one(minutes: set[int], longest: int) -> None:
    """For any instants and any retention of at least an hour, or none."""
    retention = timedelta(minutes=longest)
    instants = {ago(minutes=m) for m in minutes}
    if KEEP_YOUNGER < retention < timedelta(hours=1):
        retention = timedelta(hours=1)
    assert kept_instants(instants, NOW, retention) == plainly(instants, NOW, retention)


@given(st.sets(MINUTES, max_size=40), st.integers(0, 600))
@hypothesis.settings(max_examples=examples(200))
def test_thinning_at_each_sync_keeps_what_a_month_without_would(
    minutes: set[int], later: int
) -> None:
    """What was removed earlier would not be kept now, besides the newest.

    At most it has a successor of the same hour, which is kept in its place: 24 hours later
    the one is the last of its day for a moment, and the other still that of its hour.
    """
    retention = timedelta(days=4)
    instants = {ago(minutes=m) for m in minutes}
    after = NOW + timedelta(minutes=later)
    twice = kept_instants(kept_instants(instants, NOW, retention), after, retention)
    at_once = kept_instants(instants, after, retention)
    newest = set(sorted(instants)[-KEEP_NEWEST:])
    for lost in at_once - newest - twice:
        assert any(
            lost < o and o.date() == lost.date() and o.hour == lost.hour for o in twice
        )
