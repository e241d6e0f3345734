"""Which storage a spool is on."""

from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")
"""Linux only."""

SHARED: Final = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre"),
    *("9p", "virtiofs", "afs", "gfs2", "ocfs2", "fuse"),
)
"""Types of file systems of which other hosts may have the same files."""


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
