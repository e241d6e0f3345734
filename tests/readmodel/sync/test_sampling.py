"""The sample of files that are compared with their checksums."""

import pytest

from readmodel.sync.sampling import SAMPLED_BYTES, sample


@pytest.mark.parametrize("total", [0, 1, SAMPLED_BYTES])
def test_all_files_are_compared_if_they_are_small_together(total: int) -> None:
    """There may be none, and files may be empty."""
    assert all(map(sample("snapshot", total), "abcdef"))


def test_each_snapshot_compares_its_share_and_all_of_them_everything() -> None:
    """A tenth of ten times as much; each file sooner or later."""
    names = [f"things {number}" for number in range(100)]
    samples = [sample(f"{day}", 10 * SAMPLED_BYTES) for day in range(100)]
    drawn = [[name for name in names if is_sampled(name)] for is_sampled in samples]
    assert 900 < sum(map(len, drawn)) < 1100
    assert {name for found in drawn for name in found} == set(names)
