"""The API in-process or served, over a small read model and with a fixed clock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config import Settings, from_values
from main import create_app
from routers.worker import client as worker_client
from tests.support import preloaded
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish


@pytest.fixture(scope="session", autouse=True)
def _preloaded_helpers() -> Iterator[None]:
    """Fork the workers' helpers, too, from a process that has imported the packages."""
    with preloaded.used_by(worker_client):
        yield


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty DATA_DIR."""
    return tmp_path / "data"


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings with the token and DATA_DIR only."""
    return make_settings(data_dir=data_dir)


def make_settings(**values: Any) -> Settings:
    """Settings with the token and *values*; the environment is not read.

    There are no SQL files unless *values* name a folder of them.
    """
    needed = {"analytics_secret_token": TOKEN, "views_dir": "no-such-folder"}
    return from_values(needed | values)


@pytest.fixture
def read_model(data_dir: Path) -> Path:
    """DATA_DIR with the sample published."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    return data_dir


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client with the token; it is 1 August 2024, 15:30 UTC."""
    with client_of(settings) as client:
        yield client


def client_of(settings: Settings, moment: datetime = NOW) -> TestClient:
    """A client with the token, of an API with *settings* whose clock shows *moment*."""
    return TestClient(
        create_fixed_app(settings, moment),
        headers={"Authorization": f"Bearer {TOKEN}"},
        raise_server_exceptions=False,
    )


def create_fixed_app(settings: Settings, moment: datetime = NOW) -> FastAPI:
    """An API with *settings* whose clock shows *moment*."""
    app = create_app(settings)
    app.state.clock = lambda: moment
    return app


@contextmanager
def served(app: FastAPI, **options: Any) -> Iterator[str]:
    """The URL of *app*, served by uvicorn on a thread with these *options*."""
    # Bound here and not by number: another program may take a number in between.
    socket = create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield "http://{}:{}".format(*socket.getsockname())
    finally:
        server.should_exit = True
        thread.join()
