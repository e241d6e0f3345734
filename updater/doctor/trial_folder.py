"""A temporary folder in which `doctor` tries what a folder can hold."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def try_in(folder: Path, examine: Callable[[Path], str | None]) -> str | None:
    """What *examine* finds wrong with a new folder in *folder*; None if nothing is."""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as name:
            return examine(Path(name))
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
