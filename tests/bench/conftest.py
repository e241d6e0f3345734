"""A small sample as a read model, created like the benchmark's own."""

from pathlib import Path

import pytest

from bench.cases import Dataset, dataset
from bench.data import NOW, write
from demo.sample import sample

SMALL = 0.2


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A read model with about 26,000 rows."""
    data_dir: Path = tmp_path_factory.mktemp("bench") / "data"
    write(sample(NOW, SMALL), data_dir)
    return dataset(data_dir)
