"""A drain that is killed at each of its steps, one after the other."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from events.spool_files import list_files
from readmodel.store import snapshot
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.sync.drain import drain
from tests.support.events import line, rejected_line, write_spool

STEPS = (
    *("mkdir", "rmdir", "link", "symlink", "rename", "replace", "unlink"),
    *("fsync", "write"),
)
"""Functions of os that change what is on the disk, or flush it."""


class Killed(BaseException):
    """Stands in for SIGKILL: nothing that follows has an effect on the disk."""


@contextmanager
def killed_before(step: int) -> Iterator[None]:
    """Let the process die before its change number *step* of the disk."""
    count = 0

    def counting(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:  # later ones are those of handlers that clean up
                raise Killed
            return change(*arguments, **options)

        return changed

    with ExitStack() as patches:
        for name in STEPS:
            change = counting(getattr(os, name))
            patches.enter_context(patch.object(os, name, change))
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read model with an event and a dead letter, and a spool with more of both."""
    folder = tmp_path_factory.mktemp("killed")
    write_spool(folder / "spool", [line("e1", 1), rejected_line("r1")], 1)
    drain(folder / "data", folder / "spool")
    again = [line("e1", 1), line("e1", 2), line("e2"), rejected_line("r1")]
    write_spool(folder / "spool", again, 2)
    write_spool(folder / "spool", [line("e3"), rejected_line("r2")], 3)
    return folder


def test_whenever_it_dies_each_event_is_there_once(
    template: Path, tmp_path: Path
) -> None:
    """Readers see the state before or after, and the next drain completes it."""
    step, finished, seen = 0, False, set()
    while not finished:
        step += 1
        folder = tmp_path / f"{step}"
        shutil.copytree(template, folder, symlinks=True)
        data, spool = folder / "data", folder / "spool"
        with killed_before(step):
            try:
                drain(data, spool)
            except Killed:
                pass
            else:
                finished = True
        seen.add(tuple(stored(data, EVENTS, "event_id")))
        drain(data, spool, lambda: datetime.now(UTC))
        assert stored(data, EVENTS, "event_id") == ["e1", "e2", "e3"], step
        assert stored(data, REJECTED, "rejection_id") == ["e1:conflict:2", "r1", "r2"]
        assert list_files(spool) == [], step
        assert not list((data / "snapshots").glob(".*")), step
        shutil.rmtree(folder)
    assert step > 20
    assert seen == {("e1",), ("e1", "e2", "e3")}


def stored(data: Path, table: str, column: str) -> list[str]:
    """A column of a table, sorted."""
    return sorted(snapshot.latest(data).scan(table).collect()[column].to_list())
