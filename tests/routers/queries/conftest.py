"""An API that answers queries, which all tests of them share."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from readmodel.store.snapshot import current
from tests.support.derived import write_views
from tests.support.views import SCORES, client_of_views, publish_rounds

SECRET = "a-secret-that-no-answer-has"
QUERY_TOKEN = "q" * 40
MEMORY_MB = 512


class Target:
    """An API with queries, and files that it must not touch."""

    def __init__(self, folder: Path, api: TestClient) -> None:
        self.client = api
        self.folder = folder
        snapshot = current(folder / "data")
        self.snapshot = snapshot
        self.places = {
            "secret": str(folder / "secret.csv"),
            "new": str(folder / "new.csv"),
            "folder": str(snapshot.path),
            "part": snapshot.files("rounds")[0],
        }

    def query(self, sql: str, accept: str = "*/*", **more: Any) -> Any:
        """The response to a query."""
        return self.client.post(
            "/query", json={"sql": sql, **more}, headers={"Accept": accept}
        )

    def rows(self, sql: str, **more: Any) -> list[dict[str, Any]]:
        """The rows of a query that succeeds."""
        response = self.query(sql, **more)
        assert response.status_code == 200, response.text
        rows: list[dict[str, Any]] = response.json()["rows"]
        return rows

    def files(self) -> Mapping[str, tuple[int, int]]:
        """Every file with its size and time of change."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(f): (f.stat().st_size, f.stat().st_mtime_ns) for f in found}

    @property
    def helper(self) -> int:
        """The process that forks those of queries."""
        process = self.client.app.state.worker._helper  # type: ignore[attr-defined]
        return int(process.pid)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with DATA_DIR and VIEWS_DIR, which no test changes."""
    folder = tmp_path_factory.mktemp("queries")
    views_dir = write_views(folder / "views", a=SCORES)
    publish_rounds(folder / "data", views_dir)
    (folder / "secret.csv").write_text(f"a,b\n1,{SECRET}\n", encoding="utf-8")
    return folder


def client_of_queries(folder: Path, **settings: Any) -> TestClient:
    """A client that may query an API with the files in *folder*."""
    values = {"sql_tokens": f"ann:{QUERY_TOKEN}", "sql_memory_mb": MEMORY_MB}
    client = client_of_views(folder / "data", folder / "views", **(values | settings))
    client.headers["Authorization"] = f"Bearer {QUERY_TOKEN}"
    return client


@pytest.fixture(scope="session")
def target(published: Path) -> Iterator[Target]:
    """An API with queries."""
    os.environ["SECRET"] = SECRET
    with client_of_queries(published) as client:
        target = Target(published, client)
        assert target.query("SELECT 1").status_code == 200  # starts the helper
        yield target
    del os.environ["SECRET"]


@pytest.fixture
def own_folder(published: Path, tmp_path: Path) -> Path:
    """A copy of the files, which the test may change."""
    return shutil.copytree(published, tmp_path / "own", symlinks=True)
