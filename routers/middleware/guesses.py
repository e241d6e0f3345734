"""A brake on guessing the token: few wrong tokens per address, and few in all.

Whoever has used up its guesses is refused without a look at the token, so that a right
one cannot be told from a wrong one. Callers that had a right token before are not
affected, as long as they call from the same address.
"""

from collections import OrderedDict
from typing import Final

from util.rates import MinuteCounts

MOST_PER_ADDRESS: Final = 60
"""Wrong tokens a minute and address."""

MOST_IN_ALL: Final = 600
"""Wrong tokens a minute, from all addresses together."""

MOST_KNOWN: Final = 1_024
"""Callers that are remembered because of a right token."""

_ALL: Final = "all"


class GuessBrake:
    """Counts wrong tokens. Used by one event loop."""

    def __init__(self) -> None:
        self._per_address = MinuteCounts()
        self._in_all = MinuteCounts()
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait_seconds(self, address: str, sent: bytes) -> float:
        """Seconds until a token *sent* from *address* is looked at; 0 for at once."""
        if (address, sent) in self._known:
            return 0.0
        if self._per_address.count(address) >= MOST_PER_ADDRESS:
            return self._per_address.seconds_left(address)
        if self._in_all.count(_ALL) >= MOST_IN_ALL:
            return self._in_all.seconds_left(_ALL)
        return 0.0

    def wrong(self, address: str) -> None:
        """Count a wrong token."""
        self._per_address.add(address)
        self._in_all.add(_ALL)

    def right(self, address: str, sent: bytes) -> None:
        """Remember a caller whose token was right."""
        self._known[address, sent] = None
        self._known.move_to_end((address, sent))
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
