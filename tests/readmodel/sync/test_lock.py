"""The lock of DATA_DIR belongs to one process."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from readmodel.sync.lock import LOCK, exclusive_lock
from tests.support.programs import ROOT
from util.errors import StorageError, SyncRunning

HOLDER = """
import signal, sys
from pathlib import Path
from readmodel.sync.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    signal.pause()
"""


def test_a_second_writer_is_refused_and_a_killed_one_blocks_nobody(
    tmp_path: Path,
) -> None:
    """The lock belongs to the process, not to the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(SyncRunning, match="Another updater"),
            exclusive_lock(tmp_path),
        ):
            raise AssertionError("two writers at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with (
        exclusive_lock(tmp_path),
        (tmp_path / "update.lock").open() as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_process_that_is_being_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Between fork and exec it has a copy of each open file, and this one's lock."""
    with exclusive_lock(tmp_path):
        copies = [os.dup(handle) for handle in handles_of(tmp_path / LOCK)]
    try:
        assert copies
        with exclusive_lock(tmp_path):
            pass
    finally:
        for copy in copies:
            os.close(copy)


def handles_of(file: Path) -> list[int]:
    """The descriptors of *file* in this process."""
    links = Path("/proc/self/fd").iterdir()
    return [int(link.name) for link in links if os.path.realpath(link) == str(file)]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """DATA_DIR is a file: one sentence with its path and the reason."""
    place = tmp_path / "data"
    place.write_text("")
    with (
        pytest.raises(StorageError, match=f"DATA_DIR {place} cannot be used: File"),
        exclusive_lock(place),
    ):
        raise AssertionError("a file served as a folder")
