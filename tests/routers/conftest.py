"""The API in-process, over a small published read model and a clock that stands."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from config import Settings
from main import create_app
from routers.dependencies import now
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty DATA_DIR."""
    return tmp_path / "data"


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """The least that the API needs."""
    return make_settings(data_dir=data_dir)


def make_settings(**given: Any) -> Settings:
    return Settings.model_validate({"analytics_secret_token": TOKEN} | given)


@pytest.fixture
def read_model(data_dir: Path) -> Path:
    """DATA_DIR with the sample published."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    return data_dir


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """Whoever has the token; it is 1 August 2024, half past three."""
    with client_of(settings) as client:
        yield client


def client_of(settings: Settings, moment: datetime = NOW) -> TestClient:
    """A client of an API with *settings* whose clock stands at *moment*."""
    app = create_app(settings)
    app.dependency_overrides[now] = lambda: moment
    return TestClient(
        app,
        headers={"Authorization": f"Bearer {TOKEN}"},
        raise_server_exceptions=False,
    )
