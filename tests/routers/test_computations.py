"""Admission: memory, turns, the queue, and clients that leave it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from readmodel.store.intact import IntactFiles
from readmodel.store.manifest import Manifest, Part, StoredTable
from readmodel.store.snapshot import Snapshot
from routers import computations
from routers.computations import Computations
from routers.readings import BYTES_PER_VALUE, FIXED_BYTES, Reading
from util.errors import Overloaded

AT = datetime(2026, 11, 21, tzinfo=UTC)
ROWS = 2**20
TABLE = StoredTable({"id": "Int8"}, (Part("part-0.parquet", ROWS, 1, 1, AT),), AT)
SNAPSHOT = Snapshot("id", AT, Path("nowhere"), Manifest(AT, {"t": TABLE}))
SMALL = Reading({})
WHOLE = Reading({}, is_whole=True)


class NoFiles(IntactFiles):
    """The snapshot of these tests has no files to compare."""

    def require(self, snapshot: Snapshot, tables: Iterable[str]) -> None:
        """Accept everything."""


class Gate:
    """A computation that ends when it is allowed to."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.started = 0

    def __call__(self) -> int:
        """Wait; return how many have started."""
        self.started += 1
        assert self.opened.wait(30)
        return self.started


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the end, so that no thread stays."""
    gate = Gate()
    yield gate
    gate.opened.set()


def run(test: Callable[[Computations], Awaitable[None]], megabytes: int = 64) -> None:
    """Run *test* with a budget, in a loop of its own."""

    async def with_loop() -> None:
        await test(Computations(megabytes * 2**20, NoFiles()))

    asyncio.run(with_loop())


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until *condition* holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.001)


def test_an_estimate_is_rows_times_columns() -> None:
    """Of the share of the rows that is read."""
    both = Reading({"t": 2, "unknown": 5}, fraction=0.5)
    assert both.bytes_of(SNAPSHOT) == FIXED_BYTES + ROWS * BYTES_PER_VALUE


def test_what_needs_more_memory_than_there_is_is_refused(gate: Gate) -> None:
    """It would end the process."""

    async def test(admission: Computations) -> None:
        with pytest.raises(Overloaded, match=r"about 124 MB.*allows 64"):
            await admission.run(Reading({"t": 20}), SNAPSHOT, gate)
        assert gate.started == 0

    run(test)


def test_whole_answers_take_turns_and_small_ones_pass_them(gate: Gate) -> None:
    """A small answer does not wait for a large one."""

    async def test(admission: Computations) -> None:
        whole = [
            asyncio.create_task(admission.run(WHOLE, SNAPSHOT, gate)) for _ in range(2)
        ]
        await until(lambda: admission.waiting == 1 and gate.started == 1)
        assert await admission.run(SMALL, SNAPSHOT, lambda: "small") == "small"
        assert (gate.started, admission.waiting) == (1, 1)
        gate.opened.set()
        await asyncio.gather(*whole)
        assert (gate.started, admission.waiting) == (2, 0)

    run(test)


def test_together_they_take_no_more_memory_than_there_is(gate: Gate) -> None:
    """The third one waits for the first two."""
    reading = Reading({"t": 3})

    async def test(admission: Computations) -> None:
        tasks = [
            asyncio.create_task(admission.run(reading, SNAPSHOT, gate))
            for _ in range(4)
        ]
        await until(lambda: gate.started == 2 and admission.waiting == 2)
        gate.opened.set()
        await asyncio.gather(*tasks)

    run(test)


def test_a_queue_that_is_full_refuses(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every answer would come too late."""
    monkeypatch.setattr(computations, "MOST_WAITING", 2)

    async def test(admission: Computations) -> None:
        tasks = [
            asyncio.create_task(admission.run(WHOLE, SNAPSHOT, gate)) for _ in range(3)
        ]
        await until(lambda: admission.waiting == 2)
        with pytest.raises(Overloaded, match="2 answers are waiting"):
            await admission.run(WHOLE, SNAPSHOT, gate)
        gate.opened.set()
        await asyncio.gather(*tasks)

    run(test)


def test_who_leaves_the_queue_is_not_computed(gate: Gate) -> None:
    """A client that has hung up needs no answer."""

    async def test(admission: Computations) -> None:
        first, second = (
            asyncio.create_task(admission.run(WHOLE, SNAPSHOT, gate)) for _ in range(2)
        )
        await until(lambda: admission.waiting == 1 and gate.started == 1)
        second.cancel()
        await asyncio.wait([second])
        assert admission.waiting == 0
        gate.opened.set()
        await first
        assert gate.started == 1
        await admission.run(WHOLE, SNAPSHOT, gate)

    run(test)


def test_a_panic_becomes_an_error() -> None:
    """Otherwise it would pass every handler."""

    def panic() -> None:
        raise pl.exceptions.PanicException("index out of bounds")

    async def test(admission: Computations) -> None:
        with pytest.raises(RuntimeError, match="cannot be read: index out of bounds"):
            await admission.run(SMALL, SNAPSHOT, panic)
        assert await admission.run(SMALL, SNAPSHOT, lambda: 1) == 1

    run(test)


def test_nothing_runs_in_the_event_loop_beside_another_computation(gate: Gate) -> None:
    """It would wait for processors there, and hold up every request."""

    async def test(computations: Computations) -> None:
        assert computations.can_run_at_once(SMALL, SNAPSHOT)
        assert computations.run_at_once(SMALL, SNAPSHOT, lambda: 7) == 7
        running = asyncio.create_task(computations.run(SMALL, SNAPSHOT, gate))
        await until(lambda: gate.started == 1)
        assert not computations.can_run_at_once(SMALL, SNAPSHOT)
        gate.opened.set()
        await running
        assert computations.can_run_at_once(SMALL, SNAPSHOT)

    run(test)


def test_files_are_compared_on_a_thread_first() -> None:
    """Reading them takes time."""
    computations = Computations(2**26, IntactFiles())
    assert not computations.can_run_at_once(Reading({"t": 1}), SNAPSHOT)
