"""Counts per minute: windows, and a bound on memory."""

from util.rates import WINDOW_SECONDS, MinuteCounts


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_counted_for_a_minute_from_its_first_count() -> None:
    """Then it begins at zero."""
    clock = _Clock()
    counts = MinuteCounts(clock=clock)
    assert [counts.add("a"), counts.add("a"), counts.add("b")] == [1, 2, 1]
    clock.now += WINDOW_SECONDS - 1
    assert (counts.count("a"), counts.seconds_left("a")) == (2, 1)
    clock.now += 1
    assert (counts.count("a"), counts.seconds_left("a"), len(counts)) == (0, 0, 0)
    assert counts.add("a") == 1


def test_further_keys_share_one_count() -> None:
    """A flood of addresses takes no memory, and those counted before keep their count."""
    counts = MinuteCounts(most_keys=10, clock=_Clock())
    for n in range(10):
        counts.add(f"{n}")
    assert [counts.add(f"more-{n}") for n in range(1_000)] == list(range(1, 1_001))
    assert counts.count("another") == 1_000
    assert counts.add("3") == 2
    assert len(counts) == 11
