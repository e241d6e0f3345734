"""Pause Python's garbage collector while a program imports its packages. Import this first.

Little of the imports becomes garbage, and looking for it takes a tenth of the start.
"""

import gc

gc.disable()


def finish() -> None:
    """Collect garbage from now on, but never look again at what exists already."""
    gc.freeze()
    gc.enable()
