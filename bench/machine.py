"""The machine: its description, load and memory, so that figures can be compared."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from util.allocator import child_environment

THREADS = min(2, os.cpu_count() or 1)
"""Threads per engine, on every machine."""

BUSY_LOAD = 1.0
"""Load average above which figures are marked: other programs use the processor, too."""


def environment() -> dict[str, str]:
    """The environment of every measured process."""
    return child_environment(os.environ) | {"POLARS_MAX_THREADS": str(THREADS)}


def description() -> str:
    """Processor, memory, system and versions on one line."""
    packages = ("polars", "duckdb", "fastapi", "uvicorn")
    gigabytes = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores of which {THREADS} are used, "
        f"{gigabytes:.0f} GB of memory, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages)
    )


def load() -> float:
    """Load average over the last minute."""
    return os.getloadavg()[0]


def peak_bytes(pid: int) -> int:
    """Peak memory of process *pid*; its current memory on systems other than Linux.

    Not ru_maxrss, which starts with the parent's memory at the time of the fork.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # only Linux has it
        return psutil.Process(pid).memory_info().rss
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # only Linux has it
        lines = []
    named = (line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor").strip()
