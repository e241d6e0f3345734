"""The memory that a process may use: of the host, or of its container or service."""

from pathlib import Path

import pytest

from util.memory import available_bytes

HOST = available_bytes(Path("nowhere"), Path("nowhere"))


@pytest.mark.parametrize(
    ("place", "limit", "available"),
    [
        ("memory.max", "1048576\n", 1_048_576),
        ("memory.max", "max\n", HOST),
        ("system.slice/memory.max", "2097152\n", 2_097_152),
        ("system.slice/api.service/memory.max", "4194304\n", 4_194_304),
        ("memory/memory.limit_in_bytes", "8388608", 8_388_608),
        ("other.slice/memory.max", "1048576\n", HOST),
    ],
)
def test_the_lowest_limit_counts(
    tmp_path: Path, place: str, limit: str, available: int
) -> None:
    """Of the process's own control group and those around it."""
    own = tmp_path / "own"
    own.write_text("0::/system.slice/api.service\n")
    file = tmp_path / "cgroup" / place
    file.parent.mkdir(parents=True)
    file.write_text(limit)
    assert available_bytes(tmp_path / "cgroup", own) == available
