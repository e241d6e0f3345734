"""A small sample as a read model, made as the benchmark makes its own."""

from pathlib import Path

import pytest

from bench.cases import Asked, asked
from bench.data import NOW, write
from demo.sample import sample

SMALL = 0.2


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """About 26,000 rows."""
    data_dir: Path = tmp_path_factory.mktemp("bench") / "data"
    write(sample(NOW, SMALL), data_dir)
    return asked(data_dir)
