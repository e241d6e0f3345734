"""Settings of Polars' allocator for the updater. Import it before Polars.

A sync is limited by its peak of memory, not by its speed, so what is freed goes back to
the system at once. See docs/decisions/allocator.md; an operator's value takes precedence.
"""

import os
from typing import Final

CONF: Final = "dirty_decay_ms:0,muzzy_decay_ms:0"

# The variable of `util.allocator`, which would set it for the API when it is imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", CONF)
