"""``make demo``: mirror a sample database, serve it with the API, and collect events."""

import argparse
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from demo import answers, source
from demo.errors import DemoError
from demo.example import find_example
from demo.example_stack import describe, running_example
from demo.processes import PROJECT, Program, finish, free_port, running
from demo.sharing import folder_lock
from demo.steps import HOST, await_health, kept_token, step
from util.errors import Stopped
from util.output import run_command
from util.stopping import StopRequest

VIEWS_DIR: Final = PROJECT / "views"
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

KEPT: Final = "The files stay in place for the next time."

type _Running = AbstractContextManager[Program]


@dataclass(frozen=True, slots=True)
class Demo:
    """Options of one demonstration, and its stop request."""

    folder: Path
    port: int
    scale: float
    stop: StopRequest

    @property
    def database(self) -> Path:
        """The SQLite file with the sample."""
        return self.folder / "source.db"

    @property
    def data_dir(self) -> Path:
        """DATA_DIR of both programs."""
        return self.folder / "data"

    @property
    def spool_dir(self) -> Path:
        """SPOOL_DIR of the collector and the updater."""
        return self.folder / "spool"

    @property
    def updater_settings(self) -> Mapping[str, str]:
        """Environment of the updater."""
        return {
            "SOURCE_URL": f"sqlite:///{self.database}",
            "DATA_DIR": str(self.data_dir),
            "VIEWS_DIR": str(VIEWS_DIR),
            "SPOOL_DIR": str(self.spool_dir),
        }


@dataclass(frozen=True, slots=True)
class Served:
    """A running API: URL, token, first answers, and the programs to watch.

    `events_url` is that of the collector, which accepts the same token.
    """

    url: str
    events_url: str
    token: str
    analytics: Mapping[str, Any]
    daily: Mapping[str, Any]
    programs: tuple[Program, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; return 0 after a signal, 1 if a step failed."""
    options = _parse(arguments)
    # No exception in the midst of starting a program: it would go unnoticed and run on.
    stop = StopRequest(SIGNALS, interrupt=False)
    stop.listen()
    left = "Nothing is left of it." if options.example else KEPT
    try:
        if options.example:
            _run_example(options.example, options.port, stop)
        else:
            _run(Demo(options.folder.resolve(), options.port, options.scale, stop))
    except Stopped:
        print(f"\nStopped. {left}", flush=True)
        return 0
    except BrokenPipeError:  # nobody reads the report
        raise
    except (DemoError, OSError) as error:
        print(f"✗ {error}", file=sys.stderr)
    return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".demo")
    parser.add_argument("--port", type=int, default=5100, help="the first one to try")
    parser.add_argument("--scale", type=float, default=1, help="1 is 130,000 rows")
    parser.add_argument("--example", help="one of the examples instead")
    return parser.parse_args(arguments)


def _run_example(name: str, port: int, stop: StopRequest) -> None:
    """Serve an example until a signal, or until one of its programs ends."""
    with running_example(find_example(name), port, stop) as started:
        print(describe(started), flush=True)
        _watch(started.programs, stop)


def _run(demo: Demo) -> None:
    """Serve, print the report, and wait for a signal or the end of a program."""
    with folder_lock(demo.folder, demo.stop) as lock, ExitStack() as programs:
        if lock.is_alone:
            served = _serve_usable(demo, programs)
        else:
            print("▸ Using the files of the demonstration that runs already")
            served = _serve(demo, programs)
        lock.share()
        print(_report(demo, served), flush=True)
        _watch(served.programs, demo.stop)


def _watch(programs: Sequence[Program], stop: StopRequest) -> None:
    """Wait for a signal, or for the end of a program. Raises Stopped or DemoError."""
    while True:
        stop.pause()
        for program in programs:
            program.check()


def _serve_usable(demo: Demo, programs: ExitStack) -> Served:
    """Serve the files of an earlier run; if that fails, delete them and start over."""
    reused = demo.data_dir.exists() or demo.data_dir.is_symlink()
    try:
        return _prepare_and_serve(demo, programs)
    except DemoError as error:
        if not reused:
            raise
        print(
            f"▸ The files of an earlier run cannot be used and are replaced ({error})"
        )
    programs.close()
    for path in (demo.database, demo.data_dir):
        _remove(path)
    return _prepare_and_serve(demo, programs)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _prepare_and_serve(demo: Demo, programs: ExitStack) -> Served:
    _ensure_sample(demo)
    _sync(demo)
    return _serve(demo, programs)


def _serve(demo: Demo, programs: ExitStack) -> Served:
    token, port = kept_token(demo.folder / "token"), free_port(demo.port)
    events_port = free_port(port + 1)
    url, events_url = f"http://{HOST}:{port}", f"http://{HOST}:{events_port}"
    with step(f"Starting the API on port {port}, the collector on port {events_port}"):
        api = programs.enter_context(_api(demo, token, port))
        collector = programs.enter_context(_collector(demo, token, events_port))
        await_health(api, url, demo.stop)
        await_health(collector, events_url, demo.stop)
        _send_events(events_url, token)
    with step("Requesting the first answers"), httpx.Client(base_url=url) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        analytics = answers.get_json(client, "/")
        daily = answers.get_json(client, "/daily-analytics")
    updater = programs.enter_context(_updater(demo, "updates", ["--every"]))
    return Served(url, events_url, token, analytics, daily, (api, collector, updater))


def _ensure_sample(demo: Demo) -> None:
    if source.is_usable(demo.database):
        return
    with step("Making a sample of Free Planning Poker's database"):
        source.make(demo.database, demo.scale)


def _sync(demo: Demo) -> None:
    with (
        step("Mirroring it as Parquet with the updater"),
        _updater(demo, "first update", []) as updater,
    ):
        lines = finish(updater, demo.stop)
    print("\n".join(f"    {line}" for line in lines), flush=True)


def _updater(demo: Demo, name: str, arguments: list[str]) -> _Running:
    command = [str(PROJECT / "update_readmodel.py"), *arguments]
    return running(name, command, demo.updater_settings, demo.folder)


def _api(demo: Demo, token: str, port: int) -> _Running:
    command = ["-m", "uvicorn", "main:app", "--host", HOST, "--port", str(port)]
    settings = {
        "ANALYTICS_SECRET_TOKEN": token,
        "DATA_DIR": str(demo.data_dir),
        "VIEWS_DIR": str(VIEWS_DIR),
    }
    return running("API", command, settings, demo.folder)


def _collector(demo: Demo, token: str, port: int) -> _Running:
    command = [*("-m", "uvicorn", "collect_events:app"), "--host", HOST]
    settings = {"INGEST_TOKENS": token, "SPOOL_DIR": str(demo.spool_dir)}
    return running("Collector", [*command, "--port", str(port)], settings, demo.folder)


def _send_events(url: str, token: str) -> None:
    """Send some events, one of which is rejected, since it has no name."""
    events: list[dict[str, str]] = [
        *({"name": "page_view", "user_id": f"visitor-{n}"} for n in range(1, 4)),
        {"user_id": "visitor-4"},
    ]
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{url}/events", json=events, headers=headers)
    if answer.status_code != 202:
        raise DemoError(f"the collector answered {answer.status_code}: {answer.text}")


def _report(demo: Demo, served: Served) -> str:
    url, header = served.url, f"-H 'Authorization: Bearer {served.token}'"
    room = source.busiest_room(demo.database)
    rows = source.count_rows(demo.database)
    return f"""
Free Planning Poker in numbers, from a sample of {rows:,} rows:

{answers.format_table(served.analytics, served.daily)}

The dashboard: {url}/dashboard#token={served.token}
               (it opens signed in, and the token leaves the address)
The token:     {served.token}
The docs:      {url}/docs (paste the token under Authorize)

Try it yourself, for example:
  curl -s {url}/health
  curl -s {header} {url}/daily-analytics
  curl -s {header} {url}/room/{room}/stats
  curl -s {header} {url}/views/funnel_by_source
  curl -s {header} --data '{{"name": "hello"}}' {served.events_url}/events
  curl -s {header} {url}/events/rejected
  curl -s {header} {url}/

Ctrl-C stops it."""


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        # Print "?" for characters that the terminal cannot show.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(run_command(main))
