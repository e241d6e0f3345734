"""Output of command lines, whose reader may go away before the end."""

import os
import select
import sys
from collections.abc import Callable
from typing import Final, TextIO

CLOSED_PIPE: Final = 141
"""Exit code if nobody reads the output any more: 128 and the number of SIGPIPE.

Shells say the same of a program that this signal has ended, such as `cat`.
"""


def run_command(main: Callable[[], int]) -> int:
    """Run *main*, and return its exit code, or CLOSED_PIPE.

    A broken pipe of anything but the output is raised: it is an error of *main*.
    """
    try:
        try:
            return main()
        finally:
            # Before the interpreter does, which would print a traceback.
            _flush(sys.stdout)
    except SystemExit as end:
        # argparse takes a broken pipe for success when it prints its help.
        if not end.code and _has_no_reader(sys.stdout):
            return CLOSED_PIPE
        raise
    except BrokenPipeError:
        if not any(map(_has_no_reader, (sys.stdout, sys.stderr))):
            raise
        return CLOSED_PIPE
    finally:
        for stream in (sys.stdout, sys.stderr):
            if _has_no_reader(stream):
                _discard(stream)


def _flush(stream: TextIO | None) -> None:
    if stream is not None:  # as after `>&-`
        stream.flush()


def _has_no_reader(stream: TextIO | None) -> bool:
    """True if *stream* is a pipe or a socket whose other end is closed."""
    if stream is None:
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _discard(stream: TextIO) -> None:
    """Send to nowhere what *stream* still holds, and whatever follows."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
