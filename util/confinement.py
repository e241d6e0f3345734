"""How a process can be kept from changing files: by Landlock, or by a read-only mount."""

import os
from enum import Enum
from pathlib import Path

from util import landlock
from util.landlock import LandlockUnavailable


class Confinement(Enum):
    """What keeps a process from changing files."""

    LANDLOCK = "Landlock"
    READ_ONLY_MOUNT = "a read-only mount"


def confinement_of(folder: Path) -> Confinement:
    """What keeps a process that reads *folder* from changing it.

    Raises LandlockUnavailable if there is neither Landlock nor a read-only mount.
    """
    try:
        landlock.version(landlock.syscall)
    except LandlockUnavailable as error:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return Confinement.READ_ONLY_MOUNT
        raise LandlockUnavailable(f"{error}, and DATA_DIR is writable") from None
    return Confinement.LANDLOCK
