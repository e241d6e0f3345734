"""A scheduler and workers of our cluster, as programs on free ports of loopback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from testbed.ports import free_port

ROOT: Final = Path(__file__).parents[1]

STOP_SECONDS: Final = 20


@dataclass
class LocalCluster:
    """Programs of a cluster, which are started and stopped one by one."""

    settings: Mapping[str, str]
    scheduler: "subprocess.Popen[Any] | None" = None
    workers: "list[subprocess.Popen[Any]]" = field(default_factory=list)

    @property
    def url(self) -> str:
        """ENGINE_URL."""
        return self.settings["ENGINE_URL"]

    def start_scheduler(self) -> None:
        """Start the scheduler at its port."""
        self.scheduler = self._start("scheduler", {})

    def start_worker(self, data_dir: Path) -> "subprocess.Popen[Any]":
        """Start a worker for *data_dir*, which connects by itself."""
        worker = self._start("worker", {"DATA_DIR": str(data_dir)})
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End all programs, also those that are stopped by a signal."""
        programs = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for program in programs:
            if program.poll() is None:
                program.send_signal(signal.SIGCONT)
                program.terminate()
        for program in programs:
            program.wait(STOP_SECONDS)

    def _start(self, part: str, more: Mapping[str, str]) -> "subprocess.Popen[Any]":
        inherited = {name: os.environ[name] for name in ("PATH",)}
        environment = {
            "LOG_LEVEL": "WARNING",
            "PYTHONWARNINGS": "ignore",
            **inherited,
            **self.settings,
            **more,
        }
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_cluster.py"), part],
            env=environment,
            cwd=ROOT,
        )


@contextmanager
def local_cluster(
    *data_dirs: Path, settings: Mapping[str, str] | None = None
) -> Iterator[LocalCluster]:
    """Run a scheduler, and a worker for each of *data_dirs*, during the block."""
    url = {"ENGINE_URL": f"dask://127.0.0.1:{free_port()}"}
    cluster = LocalCluster({**url, **(settings or {})})
    try:
        cluster.start_scheduler()
        for data_dir in data_dirs:
            cluster.start_worker(data_dir)
        yield cluster
    finally:
        cluster.stop()
