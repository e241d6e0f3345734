"""Settings of the allocators: of jemalloc, which Polars brings, and of the C library's.

jemalloc reads an environment variable when it is loaded, so each program sets it before
anything imports Polars; an operator's value takes precedence. By default it returns freed
memory to the system after half a second and takes it back page by page. Five whole
answers about 13 million rows then cause half a million page faults, an eighth of their
time. See docs/decisions/allocator.md.
"""

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

VARIABLE: Final = "_RJEM_MALLOC_CONF"

FOR_ANSWERS: Final = ",".join(
    (
        # One arena per core: memory that one thread freed is reused by another.
        f"narenas:{os.cpu_count() or 1}",
        # Keep freed memory for the next answer, return it after a quiet while.
        "dirty_decay_ms:3000",
        # Use 2 MB pages where the system has them.
        "thp:always",
    )
)

FOR_SYNCS: Final = ",".join(
    (
        f"narenas:{os.cpu_count() or 1}",
        # A sync is limited by its peak of memory: return what is not used again at once.
        "dirty_decay_ms:100",
        "muzzy_decay_ms:0",
    )
)

ARENAS_VARIABLE: Final = "MALLOC_ARENA_MAX"
"""An operator's number of arenas of glibc."""

_M_ARENA_MAX: Final = -8  # of glibc's malloc.h


def share_one_arena() -> None:
    """Let all threads that begin later share an arena of glibc, which has Python's buffers.

    Otherwise what one thread received and another freed stays with the first, in pieces.
    """
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Copy *environment* for a child process, without the allocator's variable.

    Polars writes its own defaults into the variable; a child that inherits them would
    take them for an operator's choice.
    """
    return {name: value for name, value in environment.items() if name != VARIABLE}
