"""Free TCP ports for servers that are started by a test."""

import random
import socket

# Below the range from which the system takes ports for outgoing connections (from
# 32768 on Linux), so that no client takes the port before the server listens on it.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A random port of 127.0.0.1 on which nothing listens."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
