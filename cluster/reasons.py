"""Why a cluster did not compute an answer: labels of a metric."""

from enum import StrEnum


class Reason(StrEnum):
    """A kind of failure."""

    STARTING = "starting"
    """It is not connected yet."""
    UNREACHABLE = "unreachable"
    """The scheduler does not answer."""
    NO_WORKERS = "no_workers"
    VERSIONS = "versions"
    """Polars, Python, the product or the hash function differ."""
    SNAPSHOT = "snapshot"
    """No worker has the same files."""
    SILENT = "silent"
    """Nothing came back in time."""
    LOST = "lost"
    """A connection broke meanwhile."""
    WORKER = "worker"
    """The plan failed there."""
    ROWS = "rows"
    """What came back is not what the plan computes."""
    STOPPED = "stopped"
    """This program ends."""
