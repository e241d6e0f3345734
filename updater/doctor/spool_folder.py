"""Whether a folder has what a spool needs of its file system, for `doctor`."""

import os
import tempfile
from pathlib import Path
from typing import Final

from events.spool_files import SUFFIX, list_files, sync_folder

MOUNTS: Final = Path("/proc/self/mountinfo")
"""Linux only."""

SHARED: Final = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre"),
    *("9p", "virtiofs", "afs", "gfs2", "ocfs2", "fuse"),
)
"""Types of file systems of which other hosts may have the same files."""


def spool_folder_problem(folder: Path) -> str | None:
    """What *folder* lacks; None if it has all that can be tried from one host.

    A file is written as a collector does it, and removed as the updater does it: it must
    be flushed, appear whole under its name, replace no other file, and be gone then.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as name:
            return _problem(Path(name))
    except OSError as error:
        return f"cannot be written to ({error.strerror})"


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


def shared_storage_of(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the file system if other hosts may share it; None for local disks."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    kind, longest = "", -1
    for line in lines:
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        is_inside = folder.resolve().is_relative_to(point)
        if is_inside and len(point.parts) >= longest:
            kind, longest = after.split()[0], len(point.parts)
    return kind if kind.partition(".")[0] in SHARED else None
