"""Settings of Dask, the same for all parts of a cluster."""

import logging
from typing import Final

SETTINGS: Final = {
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    # A worker that is silent for so long is lost; others compute what it had.
    "distributed.scheduler.worker-ttl": "15 s",
    "distributed.comm.timeouts.connect": "3 s",
    # Profiles of Python code, of which workers run none.
    "distributed.worker.profile.enabled": False,
}

LOGGERS: Final = ("distributed", "distributed.client", "tornado", "tornado.application")


def configure_dask(level: int = logging.WARNING) -> None:
    """Apply SETTINGS; let Dask log through this program's handlers, from *level* on."""
    import dask

    dask.config.set(SETTINGS)
    import distributed  # noqa: F401 - it adds handlers of its own

    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)
