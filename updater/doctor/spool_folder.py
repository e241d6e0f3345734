"""Whether a folder has what a spool needs of its file system, for `doctor`."""

import os
from pathlib import Path

from events.spool_files import SUFFIX, list_files, sync_folder
from updater.doctor.trial_folder import try_in


def spool_folder_problem(folder: Path) -> str | None:
    """What *folder* lacks; None if it has all that can be tried from one host.

    A file is written as a collector does it, and removed as the updater does it: it must
    be flushed, appear whole under its name, replace no other file, and be gone then.
    """
    return try_in(folder, _problem)


def _problem(folder: Path) -> str | None:
    hidden, file = folder / f".a{SUFFIX}", folder / f"a{SUFFIX}"
    with hidden.open("xb") as stream:
        stream.write(b"x")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        with hidden.open("xb"):
            return "lets two programs create one file"
    except FileExistsError:
        pass
    hidden.rename(file)
    sync_folder(folder)
    found = [(each.name, each.bytes) for each in list_files(folder)]
    if found != [(file.name, 1)]:
        return "does not show a file after its rename"
    file.unlink()
    sync_folder(folder)
    return "shows a file that was removed" if list_files(folder) else None
