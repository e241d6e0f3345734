"""Make the start of a program quicker. Import this first, and call `finish` once it has started.

Little of the imports becomes garbage, and looking for it takes a tenth of the start.
Pydantic looks through all installed packages for plugins, which takes a twentieth; we use
none.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_SECONDS: Final = 0.0005
"""How long another thread may keep the interpreter; ten times as long by default."""

gc.disable()
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def finish() -> None:
    """Collect garbage from now on, but never look again at what exists already."""
    gc.freeze()
    gc.enable()


@contextmanager
def in_background() -> Iterator[None]:
    """The same for further imports, which happen on another thread in the block.

    This thread need not wait long for the interpreter.
    """
    interval = sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        finish()
