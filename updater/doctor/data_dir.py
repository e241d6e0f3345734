"""Whether DATA_DIR can hold a read model, and has room for the next snapshot."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from readmodel.store import snapshot
from updater.doctor.check_result import CheckResult, failed, passed, warning
from updater.doctor.trial_folder import try_in

LEAST_FREE_BYTES: Final = 50 * 2**20
COMFORTABLE_BYTES: Final = 2**30


def check_data_dir(data_dir: Path) -> Iterator[CheckResult]:
    """Try to write there, and compare the free space with what a sync needs."""
    existing = data_dir
    while not existing.exists():
        existing = existing.parent
    if existing != data_dir and os.access(existing, os.W_OK | os.X_OK):
        yield passed("DATA_DIR", f"{data_dir} does not exist yet and can be created")
    elif problem := try_in(data_dir, _link_problem):
        yield failed(
            "DATA_DIR",
            f"{data_dir} {problem}: it must be a folder on a local file system, "
            "and this user must be its owner",
        )
    else:
        yield passed("DATA_DIR", f"{data_dir} is writable and supports hard links")
    yield _space(data_dir, existing)


def _link_problem(folder: Path) -> str | None:
    file = folder / "file"
    file.write_bytes(b"x")
    try:
        file.with_name("link").hardlink_to(file)
    except OSError as error:
        return f"does not support hard links ({error.strerror})"
    return None


def _space(data_dir: Path, existing: Path) -> CheckResult:
    free = shutil.disk_usage(existing).free
    # A sync that rewrites everything needs room for a second copy.
    size = sum(table.bytes for table in snapshot.table_files(data_dir).values())
    needed = max(LEAST_FREE_BYTES, size)
    text = f"{free / 2**20:,.0f} MB free"
    if free < needed:
        return failed("space", f"{text}, {needed / 2**20:,.0f} MB needed: make room")
    if free < COMFORTABLE_BYTES:
        return warning("space", f"{text}: make room before the disk is full")
    return passed("space", text)
