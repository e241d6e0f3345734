"""Spools that are pulled in this process, without a network between."""

from collections.abc import Sequence
from pathlib import Path

from collector.offered_spool import OfferedSpool
from events.spool_transfer import (
    MOST_FILES,
    AcknowledgementResult,
    OfferedFile,
    SpoolPage,
    StoredSpoolFile,
)
from readmodel.spool.collector_client import CollectorClient
from readmodel.spool.pulled import PulledSpool


class DirectClient(CollectorClient):
    """A client of the collector that writes to a folder: its calls are no requests."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"https://{folder.name}", "")
        self.offered = OfferedSpool(folder)

    def page(self, after: str = "", most: int = MOST_FILES) -> SpoolPage:
        """See CollectorClient."""
        return self.offered.page(after, most)

    def contents(self, files: Sequence[OfferedFile]) -> list[bytes]:
        """See CollectorClient."""
        contents = [self.offered.contents([file.name]) for file in files]
        return [content for content in contents if content is not None]

    def acknowledge(self, files: Sequence[StoredSpoolFile]) -> AcknowledgementResult:
        """See CollectorClient."""
        return self.offered.acknowledge(files)


def pulled(folder: Path, most_bytes: int = 2**20) -> PulledSpool:
    """The spool in *folder* as an updater on another host has it after its start."""
    return PulledSpool(DirectClient(folder), most_bytes)
