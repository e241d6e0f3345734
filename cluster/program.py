"""The scheduler and the workers: `run_cluster.py`."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cluster import tasks
from cluster.address import ClusterAddress
from cluster.dask_settings import configure_dask
from cluster.running import PlanRunner
from util.logs import get_logger

if TYPE_CHECKING:
    from distributed import Worker

LOOPBACK: Final = "127.0.0.1"

NO_DASHBOARD: Final[dict[str, Any]] = {
    "dashboard": False,
    "dashboard_address": f"{LOOPBACK}:0",
}
"""Dask serves nothing by HTTP but errors, and only to this machine."""

THREADS: Final = 2
"""Plans at a time: each uses all cores, but not all the time."""

CLOSE_SECONDS: Final = 2.0

_log = get_logger("cluster")


def run_scheduler(address: ClusterAddress, host: str | None) -> None:
    """Serve at the port of *address* until SIGTERM, by default on all interfaces.

    Without TLS only on this machine. Raises OSError if the port cannot be used.
    """
    configure_dask()
    asyncio.run(_scheduler(address, host))


def run_worker(address: ClusterAddress, data_dir: Path, host: str | None) -> None:
    """Run plans over *data_dir* until SIGTERM, for the scheduler at *address*.

    *host* is the address by which the scheduler reaches this worker. The working
    directory becomes a folder of its own, which is removed at the end.
    """
    configure_dask()
    data_dir = data_dir.resolve()
    with tempfile.TemporaryDirectory(prefix="fpp-cluster-") as folder:
        before = Path.cwd()
        os.chdir(folder)
        tasks.serve(PlanRunner(data_dir, Path(folder)))
        try:
            asyncio.run(_worker(address, host, folder))
        finally:
            os.chdir(before)


async def _scheduler(address: ClusterAddress, host: str | None) -> None:
    from distributed import Scheduler

    stop = _stop_event()
    async with Scheduler(
        host=host or ("" if address.tls else LOOPBACK),
        port=address.port,
        protocol="tls://" if address.tls else "tcp://",
        security=address.security(),
        **NO_DASHBOARD,
    ) as scheduler:
        _log.info(f"The scheduler listens at {scheduler.address}", action="scheduler")
        await stop.wait()


async def _worker(address: ClusterAddress, host: str | None, folder: str) -> None:
    """Connect; and again, whenever the scheduler was lost."""
    from distributed import Worker

    stop = asyncio.ensure_future(_stop_event().wait())
    while not stop.done():
        worker = Worker(
            address.url,
            host=host or (None if address.tls else LOOPBACK),
            nthreads=THREADS,
            local_directory=folder,
            memory_limit=0,
            security=address.security(),
            **NO_DASHBOARD,
        )
        await _until(stop, _run(worker, address))
        await worker.close(timeout=CLOSE_SECONDS, nanny=False)
    stop.cancel()


async def _run(worker: "Worker", address: ClusterAddress) -> None:
    """Return when the scheduler was lost. It is waited for at the start."""
    await worker
    _log.info(f"Runs plans for {address.url}", action="worker")
    await worker.finished()
    _log.warning(f"Lost the scheduler at {address.url}", action="worker")


async def _until(stop: asyncio.Future[Any], work: Coroutine[Any, Any, None]) -> None:
    """Wait for *work*, but not longer than for *stop*. Raises what *work* raises."""
    running = asyncio.ensure_future(work)
    await asyncio.wait((stop, running), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    running.cancel()


def _stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
