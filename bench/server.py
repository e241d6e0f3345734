"""The API with its clock set to the last day of the sample."""

import util.allocator  # noqa: F401 - before anything that imports Polars

# isort: split
from bench.data import NOW
from main import create_app

app = create_app()
app.state.clock = lambda: NOW
