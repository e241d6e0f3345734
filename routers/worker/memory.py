"""The limit of a job's memory."""

import ctypes
import os
import resource
from pathlib import Path
from typing import Final, TextIO

MEGABYTE: Final = 1024 * 1024

_M_ARENA_MAX: Final = -8

_STATM: Final = Path("/proc/self/statm")


def open_usage() -> TextIO | None:
    """The system's file with this process's memory; None where there is none.

    A process that may open no file reads it again through this one.
    """
    return _STATM.open(encoding="ascii") if _STATM.exists() else None


def limit_memory(megabytes: int, usage: TextIO | None = None) -> None:
    """Bound the address space to *megabytes* more than this process has now.

    *usage* is what `open_usage` returned. Only on Linux, where it can be measured.
    """
    usage = usage or open_usage()
    if usage is None:
        return
    usage.seek(0)
    pages = int(usage.read().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def use_one_arena() -> None:
    """Let glibc reserve address space once and not per thread, 64 MB each.

    Otherwise a limit of the address space counts much that is never used.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl and macOS have none
        mallopt(_M_ARENA_MAX, 1)
