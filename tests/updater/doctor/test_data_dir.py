"""A DATA_DIR that cannot hold a read model."""

from pathlib import Path

import pytest

from tests.support.doctor import checks_of

pytestmark = pytest.mark.external


def test_a_data_dir_that_is_not_writable_fails(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Here it is a file, not a folder."""
    (tmp_path / "file").touch()
    checks = checks_of(settings | {"DATA_DIR": str(tmp_path / "file")}, code=1)
    assert checks["DATA_DIR"].startswith("✗")
