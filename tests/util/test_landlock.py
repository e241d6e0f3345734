"""Landlock: what a process asks of the kernel, and what is reported without it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from util import landlock
from util.confinement import Confinement, confinement_of
from util.landlock import LandlockUnavailable


def answering(**errors: int) -> Callable[..., int]:
    """System calls that fail with these error numbers, by the call's name."""
    names = {
        landlock.CREATE_RULESET: "create",
        landlock.ADD_RULE: "add",
        landlock.RESTRICT_SELF: "restrict",
    }

    def call(number: int, *_arguments: Any) -> int:
        return -errors.get(names[number], 0)

    return call


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSYS, "the kernel has no Landlock"),
        (errno.EOPNOTSUPP, "started without Landlock"),
        (errno.EPERM, "filter of system calls"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_the_reason_is_told(number: int, reason: str) -> None:
    """What an operator can do depends on it."""
    with pytest.raises(LandlockUnavailable, match=reason):
        landlock.version(answering(create=number))


def test_other_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel would confine only the thread that asks."""
    monkeypatch.setattr(os, "listdir", lambda _: ["1", "2"])
    with pytest.raises(LandlockUnavailable, match="other threads"):
        landlock.confine([], answering())


def test_a_mount_takes_the_place_of_landlock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither, nothing keeps a process from writing."""
    monkeypatch.setattr(landlock, "syscall", answering(create=errno.ENOSYS))
    with pytest.raises(LandlockUnavailable, match="DATA_DIR is writable"):
        confinement_of(tmp_path)
    status = os.statvfs(tmp_path)
    read_only = type("Status", (), {"f_flag": status.f_flag | os.ST_RDONLY})
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert confinement_of(tmp_path) is Confinement.READ_ONLY_MOUNT


def test_this_kernel_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any version will do."""
    monkeypatch.setattr(landlock, "syscall", answering())
    assert confinement_of(tmp_path) is Confinement.LANDLOCK
