"""Metrics of a cluster's client, in the registry of the API."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from cluster.reasons import Reason

ANSWERS: Final = "fpp_cluster_answers_total"
FALLBACKS: Final = "fpp_cluster_fallbacks_total"


class ClusterMetrics:
    """Counts the answers of the cluster, and those that it did not compute."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = Counter(
            ANSWERS, "Answers that the cluster has computed.", registry=registry
        )
        self.fallbacks = Counter(
            FALLBACKS,
            "Answers that were computed locally, since the cluster could not, by reason.",
            ("reason",),
            registry=registry,
        )
        for reason in Reason:
            self.fallbacks.labels(reason)
        self.workers = Gauge(
            "fpp_cluster_workers",
            "Workers that may run plans: they have the same versions and snapshot.",
            registry=registry,
        )
