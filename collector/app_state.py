"""What the routes of the collector share."""

from dataclasses import dataclass

from collector.callers import Callers
from collector.metrics import EventMetrics
from collector.offered_spool import OfferedSpool
from collector.rates import RateLimiter
from collector.spool import SpoolWriter
from events.privacy import Pseudonyms
from events.verdicts import Judge


@dataclass(frozen=True, slots=True)
class Intake:
    """Everything by which a request with events is checked, stored and counted.

    `offered` is the spool for an updater that takes it over HTTP.
    """

    callers: Callers
    judge: Judge
    pseudonyms: Pseudonyms
    rates: RateLimiter
    spool: SpoolWriter
    offered: OfferedSpool
    metrics: EventMetrics
    max_batch_size: int
