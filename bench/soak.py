"""Everything at once, for as long as SOAK_SECONDS says: `make soak`.

The real programs run on a small SQLite database while it is written to, the updater is
killed and its clock jumps, files of DATA_DIR are damaged, clients flood the API with good
and broken requests, and events are sent. At the end everything is left alone: then there
must be no difference, no residue and no growth. Exit code 1 otherwise.
"""

import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import polars as pl
import psutil

from bench.data import PROJECT
from demo import source
from readmodel.store.history import instant_of, kept_ids
from readmodel.sync.snapshot_retention import KEEP_NEWEST, KEEP_YOUNGER
from readmodel.tables import EVENT_TABLE_NAMES
from testbed.ports import free_port
from util.output import run_command

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "3600"))
SCALE: Final = 0.05
SYNC_SECONDS: Final = 2
SETTLE_SECONDS: Final = 15
MOST_GROWTH: Final = 1.5

CLOCKS: Final = (0, 0, 0, 0, 86_400, -86_400, 3_600, -7)
"""Seconds by which the updater's clock is ahead, drawn at each of its starts."""

JUNK: Final = (
    b"GET / HTTP/1.1\r\nX: ",
    b"\x16\x03\x01\x02\x00",
    b"POST /events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /health?" + b"a=1&" * 3_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
)


@dataclass
class Soak:
    """The programs, what is done to them, and what is counted."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(24))
    counts: Counter[str] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)
    acknowledged: set[str] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = self.folder / "source.db"
        self.data_dir = self.folder / "data"
        self.api_port, self.events_port = free_port(), free_port()
        source.make(self.database, SCALE)

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of all programs."""
        return {
            "PATH": os.environ["PATH"],
            "ANALYTICS_SECRET_TOKEN": self.token,
            "DATA_DIR": str(self.data_dir),
            "SOURCE_URL": f"sqlite:///{self.database}",
            "SPOOL_DIR": str(self.folder / "spool"),
            "INGEST_TOKENS": self.token,
            "EVENTS_INTERVAL_SECONDS": "1",
            "SYNC_INTERVAL_SECONDS": str(SYNC_SECONDS),
            "VIEWS_DIR": str(self.folder),
            "LOG_LEVEL": "WARNING",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a program of ours; its output goes to a file."""
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=output,
            )

    def run(self, *arguments: str) -> int:
        """Run the updater once; return its exit code. Show what it says of a failure."""
        done = subprocess.run(
            [sys.executable, "update_readmodel.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            print(done.stdout, done.stderr, sep="")
        return done.returncode

    def keep_writing(self) -> None:
        """Insert, change and delete rows."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            while not self.stopped.wait(random.random() / 5):
                with suppress(sqlite3.OperationalError), database:
                    database.execute(random.choice(_WRITES))
                    self.counts["writes"] += 1

    def keep_syncing(self) -> None:
        """Run the updater with one clock or another, and kill it."""
        while not self.stopped.is_set():
            ahead = str(random.choice(CLOCKS))
            updater = self.start("-m", "bench.soak_updater", ahead, "--every")
            self.stopped.wait(random.uniform(4, 25))
            updater.send_signal(random.choice((signal.SIGKILL, signal.SIGTERM)))
            updater.wait(60)
            self.counts["updaters ended"] += 1

    def keep_damaging(self) -> None:
        """Change bytes of files in DATA_DIR that can be made again from the database."""
        while not self.stopped.wait(random.uniform(1, 6)):
            with suppress(OSError, IndexError, ValueError):
                file = random.choice(list(self._files()))
                content = bytearray(file.read_bytes())
                content[random.randrange(len(content))] ^= 1 << random.randrange(8)
                damaged = file.with_name(".damaged")
                damaged.write_bytes(content)
                damaged.replace(file)
                self.counts["files damaged"] += 1

    def _files(self) -> Iterator[Path]:
        for file in self.data_dir.rglob("*"):
            is_ours = file.suffix in (".parquet", ".json") and file.is_file()
            if is_ours and not file.is_symlink() and not _is_the_only_copy(file):
                yield file

    def keep_asking(self) -> None:
        """Request statistics; each answer is 200, or a refusal that is documented."""
        paths = (
            "/",
            "/?period=30d",
            "/daily-analytics",
            "/rooms",
            "/health",
            "/metrics",
        )
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{self.api_port}"
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while not self.stopped.is_set():
                try:
                    answer = client.get(random.choice(paths))
                except httpx.HTTPError as error:
                    self.counts[f"requests broken: {type(error).__name__}"] += 1
                    continue
                self.counts[f"answers {answer.status_code}"] += 1
                if answer.status_code not in (200, 304, 503):
                    self.unexpected.append(f"{answer.status_code} {answer.text[:200]}")

    def keep_annoying(self) -> None:
        """Open connections, send junk or half of a request, and leave some of them."""
        with ExitStack() as stack:
            while not self.stopped.wait(0.02):
                port = random.choice((self.api_port, self.events_port))
                with suppress(OSError):
                    connection = socket.create_connection(("127.0.0.1", port), 5)
                    connection.sendall(random.choice(JUNK))
                    self.counts["rude connections"] += 1
                    if random.random() < 0.9:
                        connection.close()
                    else:
                        stack.enter_context(closing(connection))

    def keep_sending(self) -> None:
        """Send events; remember those that are acknowledged."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{self.events_port}"
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while not self.stopped.wait(0.05):
                ids = [secrets.token_hex(8) for _ in range(random.randrange(1, 20))]
                events = [{"event_id": each, "name": "soak"} for each in ids]
                with suppress(httpx.HTTPError):
                    if client.post("/events", json=events).is_success:
                        self.acknowledged.update(ids)


def _is_the_only_copy(file: Path) -> bool:
    """True for events and their audit: no sync can bring them back."""
    return file.parent.name.partition(".")[0] in EVENT_TABLE_NAMES


_WRITES: Final = (
    (
        "INSERT INTO fpp_page_views SELECT MAX(id) + 1, MAX(user_id), NULL, 'HOME', NULL,"
        " datetime('now') FROM fpp_page_views"
    ),
    "UPDATE fpp_votes SET duration = duration + 1 WHERE id % 97 = abs(random()) % 97",
    "DELETE FROM fpp_events WHERE id = (SELECT MAX(id) FROM fpp_events)",
    "UPDATE fpp_rooms SET name = 'soak' WHERE id = (SELECT MIN(id) FROM fpp_rooms)",
)


@dataclass(frozen=True, slots=True)
class ProcessSize:
    """What a process uses."""

    megabytes: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "ProcessSize":
        """Measure a process."""
        process = psutil.Process(pid)
        megabytes = process.memory_info().rss / 2**20
        return cls(megabytes, process.num_fds(), process.num_threads())

    def grew_to(self, later: "ProcessSize") -> bool:
        """True if the process has grown by more than it may."""
        return (
            later.megabytes > self.megabytes * MOST_GROWTH + 50
            or later.descriptors > self.descriptors + 20
            or later.threads > self.threads + 20
        )

    def __str__(self) -> str:
        return (
            f"{self.megabytes:.0f} MB, {self.descriptors} descriptors, "
            f"{self.threads} threads"
        )


def main() -> int:
    """Soak, then examine what is left; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder))
        if soak.run():
            return 1
        servers = {
            name: soak.start("-m", "uvicorn", app, "--port", str(port))
            for name, app, port in (
                ("API", "main:app", soak.api_port),
                ("collector", "collect_events:app", soak.events_port),
            )
        }
        try:
            problems = list(_problems(soak, servers))
        finally:
            for server in servers.values():
                server.terminate()
                server.wait(30)
        for name, count in sorted(soak.counts.items()):
            print(f"{count:>9,} {name}")
        print(f"{len(soak.acknowledged):>9,} events acknowledged")
        print("\n".join(problems) or "no difference, no residue, no growth")
        return 1 if problems else 0


def _problems(
    soak: Soak, servers: "Mapping[str, subprocess.Popen[bytes]]"
) -> Iterator[str]:
    for port in (soak.api_port, soak.events_port):
        _wait_for(port)
    work: tuple[Callable[[], None], ...] = (
        *(soak.keep_writing, soak.keep_syncing, soak.keep_damaging),
        *(soak.keep_sending, soak.keep_annoying, *[soak.keep_asking] * 4),
    )
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    time.sleep(min(SECONDS / 4, 120))
    before = {name: ProcessSize.of(server.pid) for name, server in servers.items()}
    time.sleep(SECONDS - min(SECONDS / 4, 120))
    soak.stopped.set()
    for thread in threads:
        thread.join()
    time.sleep(SETTLE_SECONDS)
    for name, server in servers.items():
        after = ProcessSize.of(server.pid)
        print(f"{name}: {before[name]}, then {after}")
        if before[name].grew_to(after):
            yield f"the {name} has grown"
    yield from _differences(soak)
    yield from _residue(soak.data_dir)
    yield from soak.unexpected[:5]


def _wait_for(port: int) -> None:
    """Wait until a server listens on *port*."""
    for _ in range(600):
        with closing(socket.socket()) as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def _differences(soak: Soak) -> Iterator[str]:
    if soak.run():
        yield "the last sync failed"
    if soak.run("verify"):
        yield "the read model differs from the database"
    stored = pl.read_parquet(soak.data_dir / "events.parquet")["event_id"].to_list()
    if len(stored) != len(set(stored)):
        yield "an event is stored twice"
    if missing := soak.acknowledged - set(stored):
        yield f"{len(missing)} acknowledged events are missing"
    if left := list((soak.folder / "spool").glob("*.jsonl")):
        yield f"{len(left)} files are left in the spool"


def _residue(data_dir: Path) -> Iterator[str]:
    hidden = [p.name for p in data_dir.rglob(".*") if p.name != ".damaged"]
    if hidden:
        yield f"left behind: {', '.join(hidden[:5])}"
    old = datetime.now(UTC) - KEEP_YOUNGER - timedelta(minutes=1)
    kept = [name for name in kept_ids(data_dir) if instant_of(name) < old]
    if len(kept) > KEEP_NEWEST:
        yield f"{len(kept)} old snapshots are kept"


if __name__ == "__main__":
    sys.exit(run_command(main))
