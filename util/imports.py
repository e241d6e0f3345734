"""Imports of packages that would import others, which are not used here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def not_importable(*names: str) -> Iterator[None]:
    """Let imports of the modules *names* fail in the block, if they were not done yet.

    Packages that make use of others which happen to be installed do without them then.
    """
    modules = cast("dict[str, Any]", sys.modules)
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            modules.pop(name, None)
