"""The limits that the process of a query sets itself, before it reads the statement."""

import os
import resource
from pathlib import Path

from routers.worker.refusals import NotConfined
from util import landlock
from util.landlock import LandlockUnavailable


def confine(folder: Path, cpu_seconds: int, *, use_landlock: bool) -> None:
    """Take from this process what a query does not need; there is no way back.

    It keeps no variable and no output, writes no file, and uses *cpu_seconds* at most.
    With Landlock it reads files below *folder* alone. Raises NotConfined.
    """
    os.environ.clear()
    with Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        resource.setrlimit(limit, (value, value))
    os.nice(5)
    if use_landlock:
        try:
            landlock.confine([folder])
        except LandlockUnavailable as error:
            raise NotConfined(str(error)) from None
