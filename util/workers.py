"""One process per port: limits, counters and queues are kept in the process's memory."""

import os
import sys
from collections.abc import Mapping, Sequence

from util.errors import SettingsError


def require_one_worker(
    arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Raise SettingsError if uvicorn was told to start several workers.

    Each would have limits of its own, and /metrics would show one of them at random.
    """
    count = _workers(sys.argv if arguments is None else arguments)
    if (count or environ.get("WEB_CONCURRENCY") or "1") != "1":
        raise SettingsError(
            "Start one worker (without --workers and WEB_CONCURRENCY): limits and "
            "metrics belong to one process, which uses all processors"
        )


def _workers(arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--workers":
            return value or next(iter(arguments[index + 1 :]), None)
    return None
