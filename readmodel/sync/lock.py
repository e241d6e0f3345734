"""Locks in DATA_DIR: one process writes at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from readmodel.sync.disk import storage_errors
from readmodel.sync.recovery import recover
from util.errors import FppError, SyncRunning

LOCK: Final = "update.lock"


@contextmanager
def exclusive_lock(data_dir: Path) -> Iterator[None]:
    """Be the only writer in *data_dir*; removes what a killed run left there.

    The system releases the lock when its process dies, however it dies. Raises
    SyncRunning when another process has it, StorageError when it cannot be taken.
    """
    running = SyncRunning(
        f"Another updater is at work in {data_dir}: let it finish first"
    )
    with process_lock(data_dir, LOCK, running):
        with storage_errors(data_dir):
            recover(data_dir)
        yield


@contextmanager
def process_lock(data_dir: Path, name: str, taken: FppError) -> Iterator[None]:
    """Be the only process that has the lock *name* in *data_dir*.

    The system releases it when its process dies. Raises *taken* when another process has
    it, StorageError when it cannot be taken.
    """
    with storage_errors(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with storage_errors(data_dir):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise taken from None
        yield
    finally:
        # A process that is being started has its own copy for a moment, which would
        # still have the lock.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
