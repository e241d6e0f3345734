"""The limit of a job's memory."""

import os
import resource
from pathlib import Path
from typing import Final

MEGABYTE: Final = 1024 * 1024

_STATM: Final = Path("/proc/self/statm")


def limit_memory(megabytes: int) -> None:
    """Bound the address space to *megabytes* more than this process has now.

    Only on Linux, where it can be measured.
    """
    if not _STATM.exists():
        return
    pages = int(_STATM.read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
