"""The files of an example: its settings, and the script with its sample data."""

import importlib.util
from pathlib import Path
from typing import Any


def load_module(path: Path) -> Any:
    """The module of a script in a folder that is no package."""
    spec = importlib.util.spec_from_file_location(f"sample_{path.parent.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings_of(example: Path) -> dict[str, str]:
    """The settings of an example's file."""
    lines = (example / "settings.env").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and line[0] != "#")
    return dict(pairs)  # type: ignore[arg-type]
