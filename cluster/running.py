"""The worker's side: run a plan over the files of this host's DATA_DIR."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import polars as pl

from readmodel.store.content import HeldContents
from readmodel.store.intact import IntactFiles
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from util.errors import ClusterError


@dataclass(frozen=True, slots=True)
class PlanTask:
    """A serialised one-row plan, which reads the files of *content*."""

    plan: bytes
    content: str
    is_streaming: bool


class PlanRunner:
    """Runs plans over the snapshots in a DATA_DIR, which it only reads.

    A plan names its files below a folder called by their content. Such names are
    relative: *folder*, the working directory of the process, has a link of that name to
    a snapshot with these files.
    """

    def __init__(self, data_dir: Path, folder: Path) -> None:
        self._held = HeldContents(data_dir)
        self._intact = IntactFiles()
        self._folder = folder
        self._lock = Lock()

    def holds(self, content: str) -> bool:
        """True if a snapshot here has *content*."""
        with self._lock:
            return self._held.find(content) is not None

    def run(self, task: PlanTask) -> bytes:
        """The rows of the plan as an Arrow IPC file.

        Raises ClusterError ("snapshot") if no snapshot here has the content;
        ReadModelDamaged for a file that is not what its manifest says.
        """
        with self._lock:
            found = self._held.find(task.content)
            if found is None:
                raise ClusterError("snapshot", "it does not have the same snapshot")
            self._link(task.content, found)
        self._intact.require(found, TABLES)
        plan = pl.LazyFrame.deserialize(io.BytesIO(task.plan))
        engine = pl.StreamingEngine() if task.is_streaming else pl.InMemoryEngine()
        rows = io.BytesIO()
        plan.collect(engine=engine).write_ipc(rows)
        return rows.getvalue()

    def _link(self, content: str, found: Snapshot) -> None:
        """Let the name *content* lead to the files of *found*.

        A plan that is reading the files of another snapshot of this content goes on with
        equal ones.
        """
        link, target = self._folder / content, os.path.realpath(found.path)
        if os.path.realpath(link) == target:
            return
        added = self._folder / f"{content}.new"
        added.unlink(missing_ok=True)
        added.symlink_to(target)
        added.replace(link)
