"""One line at the bottom of a terminal that is drawn again in place."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

ERASE: Final = "\r\x1b[2K"
"""Back to the beginning of the line, and delete it."""


class LiveLine:
    """The last line of *stream*, a terminal. May be used by several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._lock = threading.RLock()

    def show(self, text: str) -> None:
        """Replace the line by *text*, cut to the terminal's width; "" removes it."""
        with self._lock:
            self._text = text[: shutil.get_terminal_size().columns - 1]
            self._write(ERASE + self._text)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the line while other lines are written to the terminal."""
        with self._lock:
            if not self._text:
                yield
                return
            self._write(ERASE)
            try:
                yield
            finally:
                self._write(self._text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._text = ""  # The terminal has gone, and nobody can be told.
