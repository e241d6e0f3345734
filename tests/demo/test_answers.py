"""The first answers of the API, and their table."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from demo.answers import format_table, get_json
from demo.errors import DemoError

ANALYTICS = {
    "data": {
        "traffic": {
            "unique_users": 9508,
            "page_views": 42832,
            "bounce_rate": 0.51,
            "average_duration": 6.17,
        },
        "votes": {
            "total_votes": 11749,
            "total_estimations": 39945,
            "avg_estimation": 11.42,
            "avg_duration_per_vote": 0.92,
        },
        "behaviour": {
            "routes": {"HOME": 18318, "ROOM": 18719},
            "sources": {"Google Search": 4900, "Other": 0},
            "events": {"LEFT_ROOM": 5229},
        },
        "historical": [
            {
                "date": "2026-11-20",
                "new_users": 26,
                "page_views": 98,
                "votes": 27,
                "acc_votes": 11405,
            }
        ],
    }
}
DAILY = {"unique_users": 63, "page_views": 99, "votes": 36, "estimations": 127}


def test_the_main_figures_are_aligned_in_columns() -> None:
    """Numbers are aligned to the right."""
    assert format_table(ANALYTICS, DAILY) == "\n".join(
        [
            "  Traffic         unique users                  9,508",
            "                  page views                   42,832",
            "                  bounce rate                     51%",
            "                  average session            6.17 min",
            "  Votes           votes                        11,749",
            "                  estimations                  39,945",
            "                  average estimation            11.42",
            "                  average duration           0.92 min",
            "  Behaviour       top page: ROOM               18,719",
            "                  top source: Google Search     4,900",
            "                  top event: LEFT_ROOM          5,229",
            "  Friday, 20 Nov  new users                        26",
            "                  page views                       98",
            "                  votes                            27",
            "  Last 24 hours   unique users                     63",
            "                  page views                       99",
            "                  votes                            36",
            "                  estimations                     127",
        ]
    )


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.path == "/good"
        self.send_response(200 if good else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"a": 1} if good else {"detail": "no"}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Keep the tests' output quiet."""


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of a server that answers 200 to ``/good`` and 503 to other paths."""
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            yield client
        server.shutdown()


def test_an_answer_is_parsed_json(client: httpx.Client) -> None:
    """A 200 returns its body."""
    assert get_json(client, "/good") == {"a": 1}


def test_another_status_is_an_error_that_quotes_the_answer(
    client: httpx.Client,
) -> None:
    """The API's own message is shown."""
    with pytest.raises(DemoError, match=r'GET /bad was answered 503: {"detail": "no"}'):
        get_json(client, "/bad")


def test_a_missing_answer_is_an_error() -> None:
    """The API may have ended."""
    with (
        httpx.Client(base_url="http://127.0.0.1:1") as client,
        pytest.raises(DemoError, match="GET / was not answered"),
    ):
        get_json(client, "/")
