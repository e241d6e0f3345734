"""A cluster of Dask for the statistics of the API: one scheduler, and workers.

python run_cluster.py scheduler   at the port of ENGINE_URL
python run_cluster.py worker      runs plans over its own DATA_DIR, which it only reads
"""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_ANSWERS)

# isort: split
import argparse
import sys
from collections.abc import Sequence

import startup
from cluster.address import cluster_address
from config import Settings
from util import sentry_wrapper, telemetry
from util.errors import FppError, SettingsError
from util.output import run_command

SERVICE = "fpp-analytics-cluster"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part until it is stopped; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="run_cluster.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=["scheduler", "worker"])
    parser.add_argument(
        "--host",
        help="the address to listen at; others must reach it (default: 127.0.0.1 "
        "without TLS, otherwise all of a scheduler, and of a worker that of the "
        "interface to the scheduler)",
    )
    options = parser.parse_args(arguments)
    try:
        _run(startup.load_settings(), options.part, options.host)
    except FppError as error:
        print(f"The {options.part} cannot run: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        telemetry.shutdown()
        sentry_wrapper.flush()
    return 0


def _run(settings: Settings, part: str, host: str | None) -> None:
    """Raises SettingsError."""
    address = cluster_address(settings)
    address.require_safe(host)
    startup.start(SERVICE, settings)
    from cluster import program

    if part == "worker":
        program.run_worker(address, settings.data_dir, host)
        return
    try:
        program.run_scheduler(address, host)
    except OSError as error:
        raise SettingsError(
            f"the port {address.port} of ENGINE_URL cannot be used: {error.strerror}"
        ) from None


if __name__ == "__main__":
    sys.exit(run_command(main))
