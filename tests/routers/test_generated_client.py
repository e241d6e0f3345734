"""Generated client: openapi-python-client builds one from our document, and it works."""

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from main import app
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish

pytestmark = pytest.mark.external

PACKAGE = "generated_fpp_client"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a package that was generated from the document of `main:app`."""
    folder = tmp_path_factory.mktemp("client")
    generate(app.openapi(), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield PACKAGE


def generate(document: dict[str, Any], folder: Path, package: str = PACKAGE) -> None:
    """Generate the client of *document* as *package* in *folder*; a warning fails."""
    source, config = folder / "openapi.json", folder / "config.json"
    source.write_text(json.dumps(document), encoding="utf-8")
    config.write_text('{"post_hooks": []}', encoding="utf-8")
    options = ["--path", source, "--config", config, "--output-path", folder / package]
    done = subprocess.run(
        [
            *[sys.executable, "-m", "openapi_python_client", "generate"],
            *["--meta", "none", "--fail-on-warning", *map(str, options)],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with the sample."""
    data_dir = tmp_path_factory.mktemp("served") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    with served(create_fixed_app(make_settings(data_dir=data_dir))) as url:
        yield url


def module(package: str, name: str) -> Any:
    """A module of the generated package; its types are not known here."""
    return importlib.import_module(f"{package}.{name}")


@pytest.mark.long("test_its_methods_are_named_like_the_handlers")
def test_every_module_can_be_imported(package: str) -> None:
    """No schema or operation has a name that breaks the package."""
    root = importlib.import_module(package)
    names = [
        found.name for found in pkgutil.walk_packages(root.__path__, f"{package}.")
    ]
    assert f"{package}.api.statistics.get_analytics" in names
    for name in names:
        importlib.import_module(name)


def test_its_methods_are_named_like_the_handlers(package: str) -> None:
    """Names derived from paths and HTTP methods would be long and unstable."""
    api = importlib.import_module(f"{package}.api")
    found = {
        name.removeprefix(f"{package}.api.")
        for _, name, is_package in pkgutil.walk_packages(
            api.__path__, f"{package}.api."
        )
        if not is_package
    }
    assert found == {
        "downloads.get_breakdown_csv",
        "downloads.get_breakdown_file",
        "downloads.get_historical",
        "downloads.get_historical_csv",
        "downloads.get_historical_file",
        "downloads.get_reoccurring",
        "downloads.get_reoccurring_csv",
        "downloads.get_reoccurring_file",
        "events.get_rejected_events",
        "events.get_rejected_events_file",
        "health.get_health",
        "health.get_health_in_bytes",
        "health.get_metrics",
        "queries.get_query_tables",
        "queries.post_query",
        "session.delete_session",
        "session.get_link",
        "session.get_session",
        "session.post_session",
        "statistics.get_analytics",
        "statistics.get_breakdown",
        "statistics.get_daily_analytics",
        "statistics.get_daily_analytics_file",
        "statistics.get_retention",
        "statistics.get_room_statistics",
        "statistics.get_statistics",
        "statistics.get_room",
        "statistics.get_room_stats",
        "statistics.get_room_stats_file",
        "statistics.get_rooms",
        "statistics.post_daily_analytics",
        "sync.get_daily_report",
        "sync.get_snapshots",
        "sync.get_sync_runs",
        "sync.get_sync_runs_file",
        "sync.get_sync_view_runs",
        "views.get_report",
        "views.get_report_file",
        "views.get_view",
        "views.get_view_file",
        "views.get_views",
        "views.post_report",
    }


def test_it_reads_what_the_api_answers(package: str, url: str) -> None:
    """Answers become typed objects, with and without a range."""
    client = module(package, "client").AuthenticatedClient(base_url=url, token=TOKEN)
    with client:
        room = module(package, "api.statistics.get_room_stats").sync(1, client=client)
        assert room.votes == 2
        assert not room.query
        analytics = module(package, "api.statistics.get_analytics").sync(
            client=client, from_=NOW.date(), compare="previous"
        )
    assert analytics.data.votes.total_votes == 2
    assert analytics.data_updated_at == TAKEN_AT
    assert analytics.query.from_ == NOW.date()
    assert analytics.previous.votes.total_votes == 0
    assert analytics.change["votes"]["total_votes"] is None
    assert analytics.data.historical[0].ma_votes is None


def test_it_reads_files_and_errors(package: str, url: str) -> None:
    """CSV as text, and refusals as models."""
    download = module(package, "api.downloads.get_breakdown_csv").sync
    dimension = module(package, "models.dimension").Dimension.ROUTE
    client_type = module(package, "client").AuthenticatedClient
    with client_type(base_url=url, token=TOKEN) as client:
        assert download(dimension, client=client).startswith("route,count\r\n")
        refused = download(dimension, client=client, tz="Europe/Nowhere")
        assert refused.errors[0].parameter == "tz"
    with client_type(base_url=url, token="wrong") as stranger:
        refused = download(dimension, client=stranger)
        assert refused.detail == "Missing or wrong token"
