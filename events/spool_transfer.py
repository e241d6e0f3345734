"""What collector and updater exchange when the spool is pulled over HTTP."""

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from events.spool_files import SUFFIXES

FILES_PATH: Final = "/spool/files"
READ_PATH: Final = "/spool/read"
ACKNOWLEDGE_PATH: Final = "/spool/acknowledge"

MOST_FILES: Final = 1_000
"""In one page of a listing, one answer with contents, and one acknowledgement."""

LONGEST_NAME: Final = 200

FILE_NAME: Final = (
    rf"^[0-9A-Za-z_-][0-9A-Za-z._-]*({'|'.join(map(re.escape, SUFFIXES))})$"
)
"""It cannot name anything outside of the folder."""

type SpoolName = Annotated[str, Field(pattern=FILE_NAME, max_length=LONGEST_NAME)]
type Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
type Count = Annotated[int, Field(ge=0, le=2**53)]


class OfferedFile(BaseModel):
    """A complete file of the spool. It never changes."""

    model_config = ConfigDict(frozen=True)

    name: SpoolName
    bytes: Count
    sha256: Sha256 | None = Field(
        description="Of its content; null if it cannot be read now."
    )
    written_at: float = Field(description="Seconds since 1970.")


class SpoolPage(BaseModel):
    """Some files of the spool by instance and number, and what waits in all."""

    files: list[OfferedFile] = Field(max_length=MOST_FILES)
    more: bool = Field(description="True if there are others after the last one.")
    waiting_files: Count = Field(description="Files in the spool.")
    waiting_bytes: Count = Field(description="Their bytes.")
    oldest_at: float | None = Field(
        description="When the oldest of them was written, in seconds since 1970."
    )


class WantedFiles(BaseModel):
    """Files whose contents are to be sent."""

    names: list[SpoolName] = Field(max_length=MOST_FILES)


class StoredSpoolFile(BaseModel):
    """A file that a published snapshot contains."""

    model_config = ConfigDict(frozen=True)

    name: SpoolName
    sha256: Sha256


class Acknowledgement(BaseModel):
    """Files that a published snapshot contains, so that the collector removes them."""

    files: list[StoredSpoolFile] = Field(max_length=MOST_FILES)


class AcknowledgementResult(BaseModel):
    """What became of the files that were acknowledged."""

    removed: Count = Field(description="Files that are gone for good now.")
    missing: Count = Field(description="Files that were not there; no error.")
    differing: list[str] = Field(
        description="Files that have another content, and stay."
    )
