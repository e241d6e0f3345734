"""Which files that are kept are compared with their checksums: some of them each time.

To read all of them each time would cost more than the rest of a sync without changes.
"""

import zlib
from collections.abc import Callable
from typing import Final

SAMPLED_BYTES: Final = 32 * 2**20
"""How much is compared per snapshot, on average."""


def sample(snapshot_id: str, total_bytes: int) -> Callable[[str], bool]:
    """Whether the file that a name identifies is compared for the snapshot *snapshot_id*.

    All are, if they have at most SAMPLED_BYTES together; *total_bytes* is how many they have.
    """
    shares = -(-total_bytes // SAMPLED_BYTES) or 1

    def is_sampled(name: str) -> bool:
        return zlib.crc32(f"{snapshot_id} {name}".encode()) % shares == 0

    return is_sampled
