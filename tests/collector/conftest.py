"""A collector in this process, with a spool of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from collect_events import create_app
from tests.support.events import TOKEN, collector_settings

type StartCollector = Callable[..., TestClient]


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "spool"


@pytest.fixture
def start(spool_dir: Path) -> Iterator[StartCollector]:
    """Start a collector with these settings; its client sends TOKEN."""
    with ExitStack() as running:

        def start_collector(**settings: str) -> TestClient:
            app = create_app(collector_settings(spool_dir, **settings))
            headers = {"Authorization": f"Bearer {TOKEN}"}
            return running.enter_context(TestClient(app, headers=headers))

        yield start_collector


@pytest.fixture
def client(start: StartCollector) -> TestClient:
    """A collector with the default settings."""
    return start()


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A collector for tests that look at answers only."""
    app = create_app(collector_settings(tmp_path_factory.mktemp("spool")))
    with TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client
