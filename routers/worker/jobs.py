"""The jobs of the worker: each is a function from files to a file."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from routers.formats.xlsx import write_xlsx

JOBS: Final[Mapping[str, Callable[..., Any]]] = {"xlsx": write_xlsx}
"""Name -> function; called with keyword arguments that can be pickled."""
