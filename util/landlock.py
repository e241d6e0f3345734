"""Landlock: a process takes from itself the access to files and the network (Linux).

It needs no privilege, and there is no way back. See landlock(7).
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

CREATE_RULESET: Final = 444
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446

_QUERY_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_READ_FILE: Final = 1 << 2
_FILE_RIGHTS: Final = (0, 13, 14, 15, 15, 16)
"""Number of rights on files by version of the interface; the last for all later ones."""

_NETWORK_VERSION: Final = 4
_NETWORK: Final = 0b11
"""Bind and connect by TCP."""

_SCOPE_VERSION: Final = 6
_SCOPE: Final = 0b11
"""Abstract Unix sockets of, and signals to, processes outside."""

type Syscall = Callable[..., int]
"""A system call by number: its result, or the negated error number."""


class LandlockUnavailable(Exception):
    """The kernel, or a filter of system calls, has no Landlock; the message says why."""


class _Rights(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def syscall(number: int, *arguments: object) -> int:
    """Make a system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    return result if result >= 0 else -ctypes.get_errno()


def version(call: Syscall = syscall) -> int:
    """The version of the kernel's interface. Raises LandlockUnavailable."""
    return _checked(call(CREATE_RULESET, None, ctypes.c_size_t(0), _QUERY_VERSION))


def confine(readable: Iterable[Path], call: Syscall = syscall) -> None:
    """Let this process read files in the folders *readable*, and nothing else.

    It can no longer list folders, open other files, write, or use TCP if the kernel can
    prevent it. What is open stays open. Other threads are not affected, so there must
    be none. Raises LandlockUnavailable, and OSError for a folder that cannot be opened.
    """
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - only their number
        raise LandlockUnavailable("the process has other threads already")
    ruleset = _create_ruleset(version(call), call)
    try:
        for folder in readable:
            _allow_reading(ruleset, folder, call)
        _checked(call_prctl())
        _checked(call(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _create_ruleset(interface: int, call: Syscall) -> int:
    last = len(_FILE_RIGHTS) - 1
    rights = _Rights(
        files=(1 << _FILE_RIGHTS[min(interface, last)]) - 1,
        network=_NETWORK if interface >= _NETWORK_VERSION else 0,
        scope=_SCOPE if interface >= _SCOPE_VERSION else 0,
    )
    size = ctypes.c_size_t(ctypes.sizeof(rights))
    return _checked(call(CREATE_RULESET, ctypes.byref(rights), size, 0))


def _allow_reading(ruleset: int, folder: Path, call: Syscall) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathRule(allowed=_READ_FILE, folder=descriptor)
        _checked(call(ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


def call_prctl() -> int:
    """Give up gaining privileges by programs, which Landlock requires."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_ulong(value) for value in (1, 0, 0, 0))
    result = int(libc.prctl(_PR_SET_NO_NEW_PRIVS, *arguments))
    return result if result >= 0 else -ctypes.get_errno()


_REASONS: Final = {
    errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 or later has)",
    errno.EOPNOTSUPP: "the kernel was started without Landlock (see lsm=)",
    errno.EPERM: "a filter of system calls forbids Landlock",
}


def _checked(result: int) -> int:
    """*result*, unless it is an error."""
    if result >= 0:
        return result
    reason = _REASONS.get(-result, f"Landlock fails: {os.strerror(-result)}")
    raise LandlockUnavailable(reason)
