"""The API with its clock set to the last day of the sample."""

import util.allocator  # noqa: F401 - before anything that imports Polars

# isort: split
from datetime import datetime

from bench.data import NOW
from main import create_app
from routers import dependencies


async def _now() -> datetime:
    return NOW


app = create_app()
app.dependency_overrides[dependencies.now] = _now
