"""The order of the tests in a parallel run, and which of them share a process.

All tests of a file run in the same process, in order, so that fixtures of a module are
set up once. pytest-xdist's own groups do not work with pytest 9.2.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

SHARED = ("tests/browser",)
"""Folders whose files share fixtures of their package, and thus a process.

A second process would start the browser, the API and the driver once more.
"""

LONG = (
    "tests/browser",
    "tests/readmodel/sync/test_derived.py",
    "tests/routers/routes/test_views.py",
    "tests/demo/test_demo.py",
    "tests/readmodel/source/test_contract.py",
    "tests/routers/test_schemathesis.py",
    "tests/test_update_readmodel.py",
    "tests/examples/test_ai_platform.py",
    "tests/cluster/test_cluster.py",
    "tests/views/test_events.py",
    "tests/updater/test_replication.py",
    # Of a full run.
    "tests/demo/test_example.py",
    "tests/examples/test_bf1942.py",
    "tests/examples/test_events_service.py",
    "tests/test_your_own_tables.py",
    "tests/readmodel/sync/test_postgres_writes.py",
    "tests/readmodel/sync/test_concurrent_writes.py",
    "tests/routers/formats/test_memory.py",
    "tests/deploy/test_dockerfile.py",
)
"""Units that take longest; they start first, or others would wait for their end."""


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process one unit of tests after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """The file of a test, or the folder in SHARED that contains it."""
    path = nodeid.partition("::")[0]
    for folder in map(str, PurePosixPath(path).parents):
        if folder in SHARED:
            return folder
    return path


@pytest.hookimpl(optionalhook=True)  # xdist's own
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> UnitScheduling:
    """Schedule by unit."""
    return UnitScheduling(config, log)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Let the units in LONG come first where there are several processes."""
    check_names(items)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(unit_of(item.nodeid)))


def check_names(items: Sequence[pytest.Item]) -> None:
    """Raise UsageError if two tests have the same id: xdist would run only one."""
    for name, count in Counter(item.nodeid for item in items).items():
        if count > 1:
            raise pytest.UsageError(f"{name} is the name of several tests")


def _rank(unit: str) -> int:
    return LONG.index(unit) if unit in LONG else len(LONG)
