"""Pseudonyms: with USER_ID_KEY, user ids are stored as keyed hashes, never as sent."""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from config import Settings


HEX_DIGITS: Final = 32
"""128 bits of an HMAC-SHA256."""

_PSEUDONYM: Final = re.compile(rf"[0-9a-f]{{{HEX_DIGITS}}}")

_EPOCH_FORMATS: Final = {"never": "", "month": "%Y-%m", "day": "%Y-%m-%d"}


class Pseudonyms:
    """Replaces user ids. Without a key they stay as they are.

    The key of an epoch is derived from USER_ID_KEY and the UTC month or day in which the
    event arrives: a user's pseudonyms of two epochs cannot be connected.
    """

    def __init__(self, key: bytes | None, epoch: str = "never") -> None:
        self._key = key
        self._format = _EPOCH_FORMATS[epoch]
        self._derived: tuple[str, bytes] = ("", b"")

    @classmethod
    def of(cls, settings: "Settings") -> "Pseudonyms":
        """Those that *settings* demand."""
        key = settings.user_id_key
        return cls(
            key.get_secret_value().encode() if key else None, settings.user_id_epoch
        )

    @property
    def is_active(self) -> bool:
        """True if user ids are replaced."""
        return self._key is not None

    @property
    def hash_key(self) -> bytes:
        """A key for hashes of content that contains user ids, at most 64 bytes."""
        return hmac.digest(self._key, b"content", "sha256") if self._key else b""

    def of_user(self, user_id: str, received_at: datetime) -> str:
        """The text to store for *user_id*: 32 hexadecimal digits, or itself."""
        if self._key is None:
            return user_id
        return self._pseudonym(user_id, received_at.strftime(self._format))

    def all_of_user(self, user_id: str, first: datetime, last: datetime) -> set[str]:
        """All texts for *user_id* from *first* to *last*, whatever the epoch was then."""
        if self._key is None:
            return {user_id}
        days = (last.date() - first.date()).days + 1
        moments = [first + timedelta(days=day) for day in range(days)] + [last]
        epochs = {
            moment.strftime(each)
            for moment in moments
            for each in _EPOCH_FORMATS.values()
        }
        return {user_id, *(self._pseudonym(user_id, epoch) for epoch in epochs)}

    def _pseudonym(self, user_id: str, epoch: str) -> str:
        assert self._key is not None
        key = self._key_of(self._key, epoch)
        content = user_id.encode(errors="surrogatepass")  # such an event is rejected
        return hmac.digest(key, content, "sha256").hex()[:HEX_DIGITS]

    def _key_of(self, key: bytes, epoch: str) -> bytes:
        """The key of *epoch*, kept for the next event."""
        if not self._derived[1] or self._derived[0] != epoch:
            derived = hmac.digest(key, b"epoch " + epoch.encode(), "sha256")
            self._derived = (epoch, derived)
        return self._derived[1]

    def in_event(
        self, event: Mapping[str, Any], names: tuple[str, ...], received_at: datetime
    ) -> Mapping[str, Any]:
        """A copy of *event* in which the fields *names* hold pseudonyms."""
        if self._key is None:
            return event
        replaced = {
            name: self.of_user(str(event[name]), received_at)
            for name in names
            if event.get(name) is not None
        }
        return {**event, **replaced}


class StoredPseudonyms(Pseudonyms):
    """Those of dead letters: what looks like a pseudonym was replaced before, and stays."""

    def of_user(self, user_id: str, received_at: datetime) -> str:
        """The text to store for a *user_id* that was stored already."""
        if self.is_active and _PSEUDONYM.fullmatch(user_id):
            return user_id
        return super().of_user(user_id, received_at)
