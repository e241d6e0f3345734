"""Files of ours that may be damaged: the errors of reading them, bounds and checksums."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl
from isal import isal_zlib

PARSE_ERRORS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises for damaged bytes. A panic is not an Exception."""

READ_ERRORS: Final = (OSError, *PARSE_ERRORS)
"""The same, and what the disk raises."""

VALUE_ERRORS: Final = (ValueError, TypeError, LookupError, OverflowError)
"""What Python raises for values that a file of ours never has."""

_CHUNK_BYTES: Final = 1 << 20


def read_file(file: Path, most_bytes: int) -> bytes:
    """All bytes of *file*. Raises OSError unless it is a regular file of that size."""
    with open_regular(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most_bytes:
            raise OSError(f"{size:,} bytes are more than such a file ever has")
        return stream.read(most_bytes)


def open_regular(file: Path) -> BinaryIO:
    """Open *file* for reading. Raises OSError unless it is a regular file.

    A pipe that somebody put in its place must not hold up the reader.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("it is not a regular file")
    return os.fdopen(handle, "rb")


def checksum(file: Path) -> int:
    """CRC-32 of the bytes of *file*. Raises OSError when it cannot be read."""
    crc32 = 0
    with open_regular(file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            crc32 = isal_zlib.crc32(chunk, crc32)
    return crc32
