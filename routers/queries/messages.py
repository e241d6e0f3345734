"""What people are told about their query: sentences of the engine, without paths."""

import re
from typing import Final

LONGEST_MESSAGE: Final = 2000

PATH: Final = "[path]"

# Two steps at least, since 'a' /b is a division: /var/lib, ./data/x, file:///etc/x.
_PATHS: Final = re.compile(r"(?<!\w)(?:file:/*)?\.{0,2}(?:/[^\s/'\"`()\[\],;:]+){2,}/?")


def cut(message: str) -> str:
    """The first characters of *message*."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:LONGEST_MESSAGE]}…"


def without_paths(message: str) -> str:
    """*message* with ``[path]`` in place of what looks like the path of a file."""
    return _PATHS.sub(PATH, message)
