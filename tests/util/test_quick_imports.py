"""Quick imports: what a started API has not done."""

import json
import subprocess
import sys

from tests.support.programs import ROOT

STATE = """
import gc, json, sys
import logging
# As uvicorn does before it imports the application.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())
import main
early = sorted(sys.modules.keys() & {
    "routers.routes.health", "calculations.analytics", "sqlfiles.catalogue",
})
complete = main.create_app()
from fastapi.openapi.models import PathItem
from pydantic import BaseModel
from util.quick_imports import finish
print(json.dumps({
    "collects": gc.isenabled(),
    "frozen": gc.get_freeze_count() > 0,
    "early": early,
    "built": PathItem.__pydantic_complete__,
    "defers": BaseModel.model_config.get("defer_build", False),
    "imported": sorted({
        "pydantic.v1.main", "sentry_sdk", "limits", "httpx", "duckdb",
        "distributed", "dask", "cluster", "calculations.divided", "routers.cluster_answers",
    } & sys.modules.keys()),
    "paths": len(complete.openapi()["paths"]) > 20,
}))
"""


def test_the_api_starts_without_what_only_some_requests_need() -> None:
    """Garbage is collected once it runs, and models defined later are built at once.

    The statistics and the SQL files are imported once the server listens.
    """
    done = subprocess.run(
        [sys.executable, "-c", STATE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "collects": True,
        "frozen": True,
        "early": ["routers.routes.health"],
        "built": False,
        "defers": False,
        "imported": [],
        "paths": True,
    }
