"""What a drain needs of a spool, wherever it is."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from events.spool_files import SpoolFile


class SpoolListing(NamedTuple):
    """The complete files of a spool, by instance and number.

    `is_complete` is True if there certainly were no others: an instance without a file
    then has nothing left.
    """

    files: Sequence[SpoolFile]
    is_complete: bool = True


class Spool(Protocol):
    """The files of one collector, or of several that share a folder.

    Every method raises SpoolError if the spool fails; no file is lost then.
    """

    @property
    def name(self) -> str:
        """Where it is, for messages."""

    def listing(self) -> SpoolListing:
        """What is there."""

    def checksum(self, file: SpoolFile) -> str | None:
        """SHA-256 of a file, as hexadecimal digits; None if it is not known."""

    def content(self, file: SpoolFile) -> bytes | None:
        """The bytes of a file; None if they are not here yet, or not any more."""

    def remove(self, files: Collection[SpoolFile]) -> None:
        """Remove files that a snapshot contains, for good: no crash brings them back.

        A file whose content is another one by now stays.
        """
