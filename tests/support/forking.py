"""Tests in several processes that are forked from one which has collected all of them.

`pytest --processes 4`. To import the packages and collect the tests takes 8 seconds of
processor time, which pytest-xdist spends in every process. Here the first process does it
once, forks the others, gives each one unit of tests after the other
(tests/support/scheduling.py), and shows what they report.

A fork has no thread but the one that calls it, so no module may start Polars' threads
while it is imported: data frames are computed in fixtures and in cached functions.
"""

import atexit
import gc
import multiprocessing
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.scheduling import unit_of

CAN_FORK = sys.platform == "linux"
_NEXT_UNIT = "the next unit"
_HARMLESS_THREADS = ("jemalloc_bg_thd", "polars-ooc-clea")
"""Threads that begin with Polars' import: jemalloc renews its own, the other one waits
for files to delete and holds no lock."""

type _Unit = Sequence[int]
"""Numbers of tests, in `Session.items`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the number of processes."""
    parser.addoption("--processes", type=int, default=1, help="fork so many processes")


def is_forked(config: pytest.Config) -> bool:
    """True in a process that runs tests for another one."""
    return hasattr(config, "workerinput")


_exit_status: list[int] = []
"""Of the first process, once it has shown all results."""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note the exit status of the first process."""
    if session.config.option.processes > 1 and not is_forked(session.config):
        _exit_status[:] = [int(exitstatus)]


@atexit.register  # before others, so it runs after them
def _leave_memory_to_the_system() -> None:
    """End without freeing all that was imported, for some packages report what they leak.

    An exception that Python has shown by then counts.
    """
    if _exit_status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if hasattr(sys, "last_exc") else _exit_status[0])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Iterator[None]:
    """Refuse a module that starts threads when it is imported."""
    report = yield
    found = _started_threads() if CAN_FORK else []
    if found:
        raise pytest.UsageError(
            f"{collector.nodeid} starts threads ({', '.join(found)}) while it is imported; "
            "compute data frames in fixtures or in cached functions"
        )
    return report


def _started_threads() -> list[str]:
    """The names of threads that a fork would lose."""
    names = [
        (thread / "comm").read_text(encoding="utf-8").strip()
        for thread in Path("/proc/self/task").iterdir()
        if int(thread.name) != os.getpid()
    ]
    return sorted(name for name in names if name not in _HARMLESS_THREADS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in processes, if there shall be several."""
    options = session.config.option
    if not CAN_FORK or options.processes < 2 or options.collectonly:
        return None
    if session.testsfailed and not options.continue_on_collection_errors:
        return None  # pytest says so
    _Pool(session).run(options.processes)
    return True


class _Worker:
    """A process that runs tests, seen from the first one."""

    def __init__(
        self, session: pytest.Session, number: int, others: Iterable["_Worker"]
    ) -> None:
        self.name = f"tests-{number}"
        # As pytest-xdist's, for which pytest shows the results of many files at a time.
        self.node = SimpleNamespace(
            gateway=SimpleNamespace(id=self.name), _workerinfocache=f"[{self.name}]"
        )
        self.pending: deque[int] = deque()
        self.connection, theirs = multiprocessing.Pipe()
        inherited = [self.connection, *(other.connection for other in others)]
        self._process = multiprocessing.get_context("fork").Process(
            target=_run_tests, args=(session, number, theirs, inherited), name=self.name
        )
        with warnings.catch_warnings(action="ignore"):  # of the harmless threads
            self._process.start()
        theirs.close()

    def give(self, unit: _Unit) -> None:
        """Let it run *unit*; an empty one says that there is none left."""
        self.pending.extend(unit)
        self.connection.send(unit)

    def end(self) -> int:
        """Wait for its end, which an error in between brings on; its exit status."""
        self.connection.close()
        self._process.join()
        return int(self._process.exitcode or 0)


class _Pool:
    """The processes, and the tests that none of them has got yet."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._units = deque(_units(session.items))
        self._workers: list[_Worker] = []
        self._count = 0

    def run(self, processes: int) -> None:
        """Run all tests."""
        folders: Any = self._session.config._tmp_path_factory  # type: ignore[attr-defined]
        folders.getbasetemp()  # before the others exist, which all use it
        if terminal := self._session.config.pluginmanager.get_plugin(
            "terminalreporter"
        ):
            terminal.showfspath = False  # tests of many files at a time
        gc.collect()
        gc.freeze()  # a collection would write to the pages that all share
        try:
            for _ in range(min(processes, len(self._units))):
                self._start()
            while self._workers:
                self._serve()
        finally:
            for worker in self._workers:
                worker.end()

    def _start(self) -> None:
        self._workers.append(_Worker(self._session, self._count, self._workers))
        self._count += 1

    def _serve(self) -> None:
        ready = wait([worker.connection for worker in self._workers])
        for worker in [w for w in self._workers if w.connection in ready]:
            try:
                message = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                self._workers.remove(worker)
                self._take_leave(worker)
            else:
                self._take(worker, message)

    def _take(self, worker: _Worker, message: Any) -> None:
        """Answer a request, or show the reports of a test."""
        if message == _NEXT_UNIT:
            stops = self._session.shouldfail or self._session.shouldstop
            worker.give(self._units.popleft() if self._units and not stops else ())
            return
        number, reports = message
        worker.pending.remove(number)
        self._show(worker, number, reports)
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)

    def _show(self, worker: _Worker, number: int, reports: Iterable[Any]) -> None:
        config, item = self._session.config, self._session.items[number]
        for data in reports:
            report = config.hook.pytest_report_from_serializable(
                config=config, data=data
            )
            report.node = worker.node
            config.hook.pytest_runtest_logreport(report=report)
        config.hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _take_leave(self, worker: _Worker) -> None:
        """Fail the test that has killed its process, and run those after it in another."""
        status = worker.end()
        if not worker.pending:
            if status:
                message = f"{worker.name} has ended with exit status {status}"
                raise RuntimeError(message)
            return
        killed = worker.pending.popleft()
        item = self._session.items[killed]
        message = f"{item.nodeid} has ended its process: exit status {status}"
        report = pytest.TestReport(
            item.nodeid, item.location, {}, "failed", message, "call"
        )
        config = self._session.config
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        self._show(worker, killed, [data])
        if worker.pending:
            self._units.appendleft(tuple(worker.pending))
        if self._units:
            self._start()


def _units(items: Sequence[pytest.Item]) -> Iterator[_Unit]:
    """The numbers of the tests of each unit, in the order of their first ones."""
    units: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        units.setdefault(unit_of(item.nodeid), []).append(number)
    yield from units.values()


# From here on: in a process that runs tests.


def _run_tests(
    session: pytest.Session,
    number: int,
    connection: Connection,
    inherited: Iterable[Connection],
) -> None:
    """Run what the first process hands out, then end as a session of pytest does."""
    for of_first_process in inherited:  # or its end would go unnoticed
        of_first_process.close()
    _separate(session.config, number)
    reports = _Reports(session.config)
    session.config.pluginmanager.register(reports, "reports-to-the-first-process")
    # After Ctrl-C, or if the first process has left, nobody waits for more.
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        try:
            handed_out = _handed_out(connection)
            ahead: Iterable[tuple[Any, int | None]] = pairwise(
                chain(handed_out, [None])
            )
            for this, following in ahead:
                _run_test(session.items, this, following)
                connection.send((this, reports.take()))
        finally:
            status = 1 if session.testsfailed else 0
            session.config.hook.pytest_sessionfinish(session=session, exitstatus=status)
            session.config._ensure_unconfigure()
            atexit._run_exitfuncs()  # a process of multiprocessing does not


def _run_test(items: Sequence[pytest.Item], this: int, following: int | None) -> None:
    item, next_item = items[this], None if following is None else items[following]
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)


def _handed_out(connection: Connection) -> Iterator[int]:
    """The tests to run. The last one of a unit is run when the next unit is known."""
    while True:
        connection.send(_NEXT_UNIT)
        unit = connection.recv()
        if not unit:
            return
        yield from unit


def _separate(config: pytest.Config, number: int) -> None:
    """Give this process its own output and temporary files."""
    config.workerinput = {"workerid": f"tests-{number}"}  # type: ignore[attr-defined]
    plugins = config.pluginmanager
    if (terminal := plugins.get_plugin("terminalreporter")) is not None:
        plugins.unregister(terminal)
    capture: Any = plugins.get_plugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._exit_stack = ExitStack()  # what it held is the first process's
    folders._basetemp = folders.getbasetemp() / f"process-{number}"
    folders._basetemp.mkdir(mode=0o700)


class _Reports:
    """A plugin that keeps the reports of a test for the first process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kept: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep *report* in a form that can be sent."""
        hook = self._config.hook
        self._kept.append(
            hook.pytest_report_to_serializable(config=self._config, report=report)
        )

    def take(self) -> list[Any]:
        """The reports since the last call."""
        taken, self._kept = self._kept, []
        return taken
