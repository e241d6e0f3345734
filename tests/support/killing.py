"""Stand in for SIGKILL, or a full disk, at each change of the disk, one after the other."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
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


def at_each_step(
    template: Path,
    work: Callable[[Path], object],
    fault: Callable[[int], AbstractContextManager[None]] = killed_before,
    raised: type[BaseException] = Killed,
) -> Iterator[tuple[int, Path]]:
    """Yield copies of *template* after *work* with a *fault*, each one step later.

    The last one is that in which *work* ended without the error *raised*.
    """
    step, finished = 0, False
    # Under the same name, since addresses in it may be part of a state.
    kept = template.with_name(f"{template.name}.kept")
    while not finished:
        step += 1
        template.rename(kept)
        try:
            clone(kept, template)
            with fault(step):
                try:
                    work(template)
                except raised:
                    pass
                else:
                    finished = True
            yield step, template
        finally:
            shutil.rmtree(template)
            kept.rename(template)
    assert step > 10


def clone(folder: Path, target: Path) -> None:
    """Copy *folder* by links: the files in it are replaced, never changed."""
    shutil.copytree(folder, target, symlinks=True, copy_function=os.link)
