"""Stand in for SIGKILL, or a full disk, at each change of the disk, one after the other."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

STEPS = (
    *("mkdir", "rmdir", "link", "symlink", "rename", "replace", "unlink"),
    *("fsync", "write"),
)
"""Functions of os that change what is on the disk, or flush it."""


class Killed(BaseException):
    """Stands in for SIGKILL: nothing that follows has an effect on the disk."""


@contextmanager
def killed_before(
    step: int, effects: Mapping[str, Callable[..., Any]] = MappingProxyType({})
) -> Iterator[None]:
    """Let the process die before its change number *step* of the disk.

    *effects* are further functions that change something, by their dotted names.
    """
    count = 0

    def counting(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:  # later ones are those of handlers that clean up
                raise Killed
            return change(*arguments, **options)

        return changed

    with ExitStack() as patches:
        for name in STEPS:
            change = counting(getattr(os, name))
            patches.enter_context(patch.object(os, name, change))
        for name, effect in effects.items():
            patches.enter_context(patch(name, counting(effect)))
        yield


@contextmanager
def full_from(step: int) -> Iterator[None]:
    """Let the disk be full from change number *step* on."""
    count = 0

    def counting(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return change(*arguments, **options)

        return changed

    with ExitStack() as patches:
        for name in ("mkdir", "link", "symlink", "rename", "replace", "write", "fsync"):
            change = counting(getattr(os, name))
            patches.enter_context(patch.object(os, name, change))
        yield
