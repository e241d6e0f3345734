"""The programs of an example, for the tests of a module."""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from demo import processes
from demo.example import find_example
from demo.example_stack import ExamplePlace, RunningExample, serve_example
from testbed.ports import free_port
from testbed.postgres import Database
from tests.support import preloaded
from util.stopping import StopRequest


@contextmanager
def example_running(
    name: str,
    folder: Path,
    database: Database | None = None,
    broker: str | None = None,
    **settings: str,
) -> Iterator[RunningExample]:
    """Run the example *name* in *folder*, with *settings* in place of its own.

    Its sample data fills *database*, which the updater reads as a role with SELECT only.
    The same settings are in the environment of the sample data.
    """
    place = ExamplePlace(
        folder=folder,
        port=free_port(),
        stop=StopRequest(),
        source_url=database.reader.url(database.name) if database else None,
        owner_url=database.owner.url(database.name) if database else None,
        broker=broker,
        overrides=settings,
    )
    with (
        preloaded.used_by(processes),
        serve_example(find_example(name), place) as started,
    ):
        yield started


def client_of(started: RunningExample, **headers: str) -> httpx.Client:
    """A client of the API with the token."""
    sent = {"Authorization": f"Bearer {started.token}", **headers}
    return httpx.Client(base_url=started.url, headers=sent, timeout=60)


def load_module(path: Path) -> Any:
    """The module of a script in a folder that is no package."""
    spec = importlib.util.spec_from_file_location(f"sample_{path.parent.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_sample_data(name: str, environ: Mapping[str, str]) -> None:
    """Run the sample data of the example *name* alone."""
    script = find_example(name).sample_data
    done = preloaded.run([str(script)], timeout=120, env={**os.environ, **environ})
    assert done.returncode == 0, done.stderr
