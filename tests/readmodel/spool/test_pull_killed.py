"""Updater and collector that are killed at each step of a pull, one after the other.

The steps are changes of the disk of either, and the calls of the updater: list, fetch,
publish, acknowledge.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.spool_files import list_files
from readmodel.store import snapshot
from readmodel.store.event_tables import EVENTS
from readmodel.sync.drain import drain_spools
from tests.support.events import line, write_spool
from tests.support.killing import Killed, killed_before
from tests.support.pulling import DirectClient, pulled

CALLS = {
    f"tests.support.pulling.DirectClient.{name}": getattr(DirectClient, name)
    for name in ("page", "contents", "acknowledge")
}
OTHER = "20261121T110000000000-11111111"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A read model with an event, and two collectors; one event was sent to both."""
    folder = tmp_path / "template"
    write_spool(folder / "c1", [line("e1")])
    run(folder)
    write_spool(folder / "c1", [line("e2"), line("e3")], 2)
    write_spool(folder / "c1", [line("e4")], 3)
    write_spool(folder / "c2", [line("e3"), line("e5")], instance=OTHER)
    return folder


def run(folder: Path) -> None:
    """What an updater does between its start and its end."""
    spools = [pulled(folder / name) for name in ("c1", "c2")]
    for spool in spools:
        (folder / str(spool.name).removeprefix("https://")).mkdir(exist_ok=True)
        spool.pull()
    drain_spools(folder / "data", spools)
    for spool in spools:
        spool.acknowledge()


def stored(folder: Path) -> list[str]:
    """The ids of the stored events, sorted."""
    rows = snapshot.latest(folder / "data").scan(EVENTS).collect()
    return sorted(rows["event_id"].to_list())


def killed_at_each_step(template: Path) -> Iterator[Path]:
    """Copies of *template*, in each of which a run was killed one step later."""
    step, finished = 0, False
    while not finished:
        step += 1
        folder = template.with_name(f"{step}")
        shutil.copytree(template, folder, symlinks=True)
        with killed_before(step, CALLS):
            try:
                run(folder)
            except Killed:
                pass
            else:
                finished = True
        yield folder
        shutil.rmtree(folder)
    assert step > 25


@pytest.mark.long(
    "tests/test_collectors_end_to_end.py::test_whoever_is_killed_each_acknowledged_event_is_stored_once"
)
def test_whoever_dies_whenever_each_event_is_there_once(template: Path) -> None:
    """Readers see the state before or after; the next run completes it."""
    seen = set()
    everything = ["e1", "e2", "e3", "e4", "e5"]
    for folder in killed_at_each_step(template):
        seen.add(tuple(stored(folder)))
        waiting = {*list_files(folder / "c1"), *list_files(folder / "c2")}
        assert waiting or stored(folder) == everything
        run(folder)
        assert stored(folder) == everything
        assert not list_files(folder / "c1") + list_files(folder / "c2")
    assert seen == {("e1",), tuple(everything)}
