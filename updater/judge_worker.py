"""A process that judges messages of Kafka for the updater, while there is a backlog.

It reads requests from the socket that is its stdin, and answers each there. It ends with
the updater, since the socket then ends, and after IDLE_SECONDS without a request. It imports
neither settings nor a database driver: it is given all rules.
"""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_SYNCS)

# isort: split
import signal
import socket
import sys
from typing import Final

from events.messages import judge_messages
from events.verdicts import Judge
from readmodel.sync.spool_reader import SpooledEvents, judged_rows
from updater.judge_messages import JudgeRequest, encode_reply, receive_request, send
from util.garbage import collection_paused

IDLE_SECONDS: Final = 10.0
"""A process is kept for so long, since the next backlog may come soon."""


def main() -> None:
    """Answer requests until there are no more."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            each, signal.SIG_IGN
        )  # The updater, which gets them too, ends it.
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        connection.settimeout(IDLE_SECONDS)
        try:
            _serve(connection)
        except (OSError, EOFError):
            return  # The updater is gone, or has nothing to do.


def _serve(connection: socket.socket) -> None:
    judge = Judge.by(receive_request(connection))
    while True:
        request: JudgeRequest = receive_request(connection)
        send(connection, encode_reply(_verdicts(judge, request)))


def _verdicts(judge: Judge, request: JudgeRequest) -> SpooledEvents:
    with collection_paused():
        judged = judge_messages(
            judge, request.messages, request.topic, request.received_at
        )
        return judged_rows(judged)


if __name__ == "__main__":
    main()
