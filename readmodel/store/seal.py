"""A checksum inside a Parquet file, for the logs, whose bytes no manifest describes.

It stands between the data and the footer, where readers of Parquet look at nothing. So
damaged bytes are noticed before a parser sees them, which might end the process.

    PAR1 … data … | fpp-crc32:1a2b3c4d | … footer … | length of the footer | PAR1
"""

import zlib
from typing import Final

MARK: Final = b"fpp-crc32:"
_SEAL_BYTES: Final = len(MARK) + 8
_TAIL_BYTES: Final = 8
"""The footer's length and the magic number."""


def seal(content: bytes) -> bytes:
    """Add a checksum to *content*, a Parquet file."""
    start = _footer_start(content)
    return (
        content[:start] + MARK + f"{zlib.crc32(content):08x}".encode() + content[start:]
    )


def require_intact(content: bytes) -> None:
    """Raise ValueError if *content* is not what its seal says.

    A file without any seal passes: an earlier version wrote it.
    """
    end = _footer_start(content)
    start = end - _SEAL_BYTES
    if start < 0 or not content.startswith(MARK, start):
        if MARK in content:
            raise ValueError("the checksum is not in its place")
        return
    crc32 = zlib.crc32(content[end:], zlib.crc32(content[:start]))
    if content[start + len(MARK) : end] != f"{crc32:08x}".encode():
        raise ValueError("the checksum differs")


def _footer_start(content: bytes) -> int:
    length = int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    return max(0, len(content) - _TAIL_BYTES - length)
