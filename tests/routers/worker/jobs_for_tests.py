"""A helper with jobs that fail in every way: `python -m tests.routers.worker.jobs_for_tests`."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from routers.worker import helper, jobs
from routers.worker.refusals import StatementFailed


def echo(value: Any) -> Any:
    """Return *value*."""
    return value


def sleep(file: Path) -> None:
    """Note the process id in *file*, then sleep for a minute."""
    file.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(60)


def allocate(megabytes: int) -> int:
    """Take memory."""
    return len(bytearray(megabytes * 1024 * 1024))


def die() -> None:
    """End without a result."""
    os._exit(3)


def refuse() -> None:
    """Fail with a sentence for the caller."""
    raise StatementFailed("division by zero")


def environment() -> dict[str, str]:
    """The variables of the process."""
    return dict(os.environ)


JOBS: Final[Mapping[str, Callable[..., Any]]] = {
    job.__name__: job for job in (echo, sleep, allocate, die, refuse, environment)
}

if __name__ == "__main__":
    jobs.JOBS = JOBS  # type: ignore[misc]
    helper.IDLE_SECONDS = int(sys.argv[1])  # type: ignore[misc]
    helper.main()
