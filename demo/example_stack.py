"""The programs of one example, started in the order in which they need each other."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from demo.broker import require_broker, running_broker
from demo.example import Example
from demo.postgres import require_postgres, running_postgres
from demo.processes import PROJECT, Program, finish, free_port, running
from demo.steps import HOST, await_health, new_token, step
from util.stopping import StopRequest

UPDATER_ONLY: Final = ("SOURCE_URL", "KAFKA_SASL_PASS")
"""Settings that the API and the collector must not have."""


@dataclass(frozen=True, slots=True)
class ExamplePlace:
    """Where an example runs: its folder, its source, its broker, and its first port.

    The updater reads the database at *source_url*; *owner_url* is the same database for
    the script that fills it. *overrides* replace settings of the example.
    """

    folder: Path
    port: int
    stop: StopRequest
    source_url: str | None = None
    owner_url: str | None = None
    broker: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunningExample:
    """A running example: addresses, token, settings, and the programs to watch."""

    example: Example
    url: str
    collector_url: str | None
    token: str
    settings: Mapping[str, str]
    programs: tuple[Program, ...]

    @property
    def curl_values(self) -> Mapping[str, str]:
        """What stands for ``$API`` and its like in the README."""
        return {
            "API": self.url,
            "COLLECTOR": self.collector_url or "",
            "TOKEN": self.token,
        }


@contextmanager
def running_example(
    example: Example, port: int, stop: StopRequest
) -> Iterator[RunningExample]:
    """Run *example* with all that it needs.

    Everything is in a folder that is removed after the block. Raises DemoError.
    """
    if example.needs_postgres:
        require_postgres(example.name)
    if example.needs_broker:
        require_broker(example.name)
    with ExitStack() as needed:
        folder = needed.enter_context(TemporaryDirectory(prefix="fpp-demo-"))
        url = broker = None
        if example.needs_postgres:
            with step("Starting a PostgreSQL of its own"):
                url = needed.enter_context(running_postgres(stop))
        if example.needs_broker:
            with step("Starting a Kafka broker of its own"):
                broker = needed.enter_context(running_broker(stop))
        place = ExamplePlace(Path(folder), port, stop, url, url, broker)
        yield needed.enter_context(serve_example(example, place))


@contextmanager
def serve_example(example: Example, place: ExamplePlace) -> Iterator[RunningExample]:
    """Start the programs of *example* at *place*, with its sample data mirrored."""
    with ExitStack() as programs:
        stack = _Stack(example, place)
        yield stack.start(programs)


class _Stack:
    """The programs of one example at one place."""

    def __init__(self, example: Example, place: ExamplePlace) -> None:
        self._example = example
        self._place = place
        self._token = new_token()
        self._settings = self._all_settings()

    def _all_settings(self) -> dict[str, str]:
        example, place = self._example, self._place
        found = {**example.settings, **place.overrides}
        found |= {
            "ANALYTICS_SECRET_TOKEN": self._token,
            "DATA_DIR": str(place.folder / "data"),
            "VIEWS_DIR": str(example.views_dir),
        }
        if example.needs_collector:
            found["SPOOL_DIR"] = str(place.folder / "spool")
            found["INGEST_TOKENS"] = self._token
        if place.source_url:
            found["SOURCE_URL"] = place.source_url
        if place.broker:
            found["KAFKA_BOOTSTRAP_SERVERS"] = place.broker
        return found

    def start(self, programs: ExitStack) -> RunningExample:
        """Collector, sample data, first sync, API, then the repeating updater."""
        place = self._place
        port = free_port(place.port)
        url, collector_url = f"http://{HOST}:{port}", None
        watched: list[Program] = []
        if self._example.needs_collector:
            collector_url = f"http://{HOST}:{free_port(port + 1)}"
            with step("Starting the collector"):
                command = _server("collect_events:app", collector_url)
                collector = programs.enter_context(self._run("Collector", command))
                await_health(collector, collector_url, place.stop)
            watched.append(collector)
        self._fill(collector_url)
        self._sync()
        with step("Starting the API"):
            api = programs.enter_context(self._run("API", _server("main:app", url)))
            await_health(api, url, place.stop)
        updater = programs.enter_context(self._updater("updates", "--every"))
        watched += [api, updater]
        return RunningExample(
            self._example,
            url,
            collector_url,
            self._token,
            self._settings,
            tuple(watched),
        )

    def _fill(self, collector_url: str | None) -> None:
        settings = dict(self._settings)
        if collector_url:
            settings |= {
                "COLLECTOR_URL": collector_url,
                "COLLECTOR_TOKEN": self._token,
            }
        if self._place.owner_url:
            settings["SOURCE_URL"] = self._place.owner_url
        command = [str(self._example.sample_data)]
        with (
            step("Making sample data"),
            running("Sample data", command, settings, self._place.folder) as program,
        ):
            finish(program, self._place.stop)

    def _sync(self) -> None:
        with (
            step("Mirroring it as Parquet with the updater"),
            self._updater("first update") as updater,
        ):
            lines = finish(updater, self._place.stop)
        print("\n".join(f"    {line}" for line in lines), flush=True)

    def _updater(self, name: str, *arguments: str) -> AbstractContextManager[Program]:
        command = [str(PROJECT / "update_readmodel.py"), *arguments]
        return running(name, command, self._settings, self._place.folder)

    def _run(self, name: str, command: list[str]) -> AbstractContextManager[Program]:
        settings = {n: v for n, v in self._settings.items() if n not in UPDATER_ONLY}
        return running(name, command, settings, self._place.folder)


def _server(application: str, url: str) -> list[str]:
    port = url.rpartition(":")[2]
    return ["-m", "uvicorn", application, "--host", HOST, "--port", port]


def describe(started: RunningExample) -> str:
    """The addresses, the token and lines to paste."""
    lines = "\n".join(
        f"  {line}" for line in started.example.curl_lines(started.curl_values)
    )
    collector = (
        f"\nThe collector: {started.collector_url}" if started.collector_url else ""
    )
    return f"""
The page:      {started.url}/dashboard#token={started.token}
               (it opens signed in, and the token leaves the address)
The token:     {started.token}
The docs:      {started.url}/docs (paste the token under Authorize){collector}

Try it yourself, for example:
{lines}

Ctrl-C stops it and removes everything."""
