"""A client generated from the collector's document sends events."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collect_events import create_app
from tests.routers.conftest import served
from tests.routers.test_generated_client import generate, module
from tests.support.events import TOKEN, collector_settings, spooled

pytestmark = pytest.mark.external

# Another name than that of the API's client: Python keeps imported packages.
PACKAGE = "generated_events_client"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[str]:
    """A package that was generated from the document."""
    generate(create_app().openapi(), tmp_path, PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield PACKAGE


@pytest.mark.long(
    "tests/routers/test_generated_client.py::test_it_reads_what_the_api_answers"
)
def test_it_sends_an_event_and_reads_the_receipt(package: str, tmp_path: Path) -> None:
    """Bodies and answers are typed."""
    spool = tmp_path / "spool"
    with served(create_app(collector_settings(spool))) as url:
        client = module(package, "client").AuthenticatedClient(
            base_url=url, token=TOKEN
        )
        event: Any = module(package, "models").SentEvent(name="page_view")
        post = module(package, "api.events.post_events")
        with client:
            receipt = post.sync(client=client, body=event)
    assert (receipt.accepted, receipt.status) == (1, "accepted")
    assert [line["name"] for line in spooled(spool)] == ["page_view"]
