"""How the memory allocator in Polars keeps what was freed. Import it before Polars.

Polars brings jemalloc, which reads this when it is loaded. By default it gives memory
back after half a second and takes it again page by page: half a million page faults in
five whole answers about 13 million rows, and an eighth of their time. See
docs/decisions/allocator.md.
"""

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "_RJEM_MALLOC_CONF"

CONF: Final = ",".join(
    (
        # As many arenas as threads that allocate much: what one freed, another can use.
        f"narenas:{os.cpu_count() or 1}",
        # For the next answer, and back to the system once there was none for a while.
        "dirty_decay_ms:3000",
        # Pages of 2 MB where the system has any.
        "thp:always",
    )
)

os.environ.setdefault(VARIABLE, CONF)


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """The *environment* for a process of ours, which is to say it anew.

    Polars writes its own defaults there, and a process would take them for a choice of
    whoever runs it.
    """
    return {name: value for name, value in environment.items() if name != VARIABLE}
