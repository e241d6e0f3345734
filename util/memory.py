"""How much memory this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")


def available_bytes(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """The memory of this host, or the limit of this container or service if lower."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([host, *filter(None, map(_limit, _limit_files(cgroups, own)))])


def _limit_files(cgroups: Path, own: Path) -> Iterator[Path]:
    """The limits of all control groups that this process is in."""
    yield cgroups / "memory" / "memory.limit_in_bytes"  # of the first version
    yield cgroups / "memory.max"
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        folder = cgroups / line.partition("::")[2].lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(cgroups):
                yield each / "memory.max"


def _limit(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such controller, or "max"
        return None
