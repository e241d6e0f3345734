"""Requests that come before all routes are there."""

import asyncio
import os
import subprocess
import sys

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config import Settings
from main import create_app
from tests.support.programs import ROOT
from tests.support.sample import TOKEN


def test_health_is_answered_before_all_routes_are_there(settings: Settings) -> None:
    """It has no model yet, so it is 503; the other request waits, with its route."""
    app = create_app(settings, is_early=True)
    assert asyncio.run(_answers(app)) == [503, 503, False, 200]


async def _answers(app: FastAPI) -> list[object]:
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://x", headers=headers
    ) as client:
        early = [(await client.get(p)).status_code for p in ("/health", "/v1/health")]
        later = asyncio.create_task(client.get("/metrics"))
        # The other clients are served meanwhile: a second round, and it still waits.
        await client.get("/health")
        waited = later.done()
        async with app.router.lifespan_context(app):
            return [*early, waited, (await later).status_code]


def test_an_early_application_documents_and_answers_the_same_when_it_is_complete(
    settings: Settings,
) -> None:
    """Also the order of its routes is the same."""
    early, complete = create_app(settings, is_early=True), create_app(settings)
    with TestClient(early) as client:
        assert client.get("/", follow_redirects=False).status_code == 401
    assert [r.path for r in early.routes if hasattr(r, "path")] == [
        r.path for r in complete.routes if hasattr(r, "path")
    ]
    assert early.openapi() == complete.openapi()


FAILING = """
import sys
sys.modules["routers.all_routes"] = None
import uvicorn
uvicorn.run("main:app", port=0)
"""


def test_a_program_whose_routes_cannot_be_imported_ends(settings: Settings) -> None:
    """It is no API that answers /health only."""
    variables = {
        "ANALYTICS_SECRET_TOKEN": TOKEN,
        "DATA_DIR": str(settings.data_dir),
        "LOG_FORMAT": "json",
    }
    done = subprocess.run(
        [sys.executable, "-c", FAILING],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "routers.all_routes" in done.stderr
