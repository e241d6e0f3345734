"""Make the start of a program quicker. Import this first, and call `finish` once it has started.

Little of the imports becomes garbage, and looking for it takes a tenth of the start.
Pydantic looks through all installed packages for plugins, which takes a twentieth; we use
none.
"""

import gc
import os

gc.disable()
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def finish() -> None:
    """Collect garbage from now on, but never look again at what exists already."""
    gc.freeze()
    gc.enable()
