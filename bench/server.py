"""The API with its clock set to the last day of the sample."""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_ANSWERS)

# isort: split
from bench.data import NOW
from main import create_app

app = create_app(is_early=True)
app.state.clock = lambda: NOW
