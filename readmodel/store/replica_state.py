"""replica.json in DATA_DIR: what its replica has, as far as this host knows.

The programs that transfer snapshots write it; `status` and the metrics read it. It is
not part of a snapshot, since it says what became of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, TypeAdapter

from readmodel.store.damage import read_file
from readmodel.store.history import instant_of, kept_ids

FILE: Final = "replica.json"
MOST_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """How far DATA_DIR and the replica at `url` are equal.

    Attributes:
        role: whether this host writes the replica or follows it.
        token: the mark of the pointer that was written or read last; None before.
        next_token: the mark of a write of which nobody knows whether it arrived.
        snapshot: the last snapshot that was transferred.
        previous: the one before it.
        newest: the newest snapshot that is known, on whichever side that is.
        at: when `snapshot` was transferred.
        bytes: what was transferred for it.
        seconds: how long that took.
        failing_since: the first failure since the last success.
        failed_because: a sentence about the last failure.
        collected_at: when objects that nobody needs were last removed.
        objects: the object of each file of `snapshot`, by `transfer.identity`.
    """

    url: str
    role: Literal["writer", "follower"]
    token: str | None = None
    next_token: str | None = None
    snapshot: str | None = None
    previous: str | None = None
    newest: str | None = None
    at: AwareDatetime | None = None
    bytes: int = 0
    seconds: float = 0
    failing_since: AwareDatetime | None = None
    failed_because: str | None = None
    collected_at: AwareDatetime | None = None
    objects: Mapping[str, str] = field(default_factory=dict)

    @property
    def snapshot_at(self) -> datetime | None:
        """When the last snapshot that was transferred was published (UTC)."""
        return instant_of(self.snapshot) if self.snapshot else None

    def lag_seconds(self, data_dir: Path) -> float | None:
        """By how much the copy is older than the original; None without a copy."""
        if self.snapshot is None:
            return None
        newest = max([*kept_ids(data_dir)[-1:], self.newest or self.snapshot])
        lag = instant_of(newest) - instant_of(self.snapshot)
        return max(lag.total_seconds(), 0)


def read_state(data_dir: Path) -> ReplicaState | None:
    """The state of *data_dir*; None without a file, or with one that is damaged."""
    try:
        state = _ADAPTER.validate_json(read_file(data_dir / FILE, MOST_BYTES))
        for name in (state.snapshot, state.previous, state.newest):
            if name is not None:
                instant_of(name)
    except (OSError, ValueError):
        return None
    return state


def encode_state(state: ReplicaState) -> bytes:
    """The content of the file."""
    return _ADAPTER.dump_json(state, indent=1)


_ADAPTER: Final = TypeAdapter(ReplicaState)
