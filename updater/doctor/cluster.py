"""The workers of the cluster that may run plans of statistics."""

from collections.abc import Iterator

from config import Settings
from updater.doctor.check_result import CheckResult, failed, passed, warning
from util.errors import FppError, SettingsError


def check_cluster(settings: Settings) -> Iterator[CheckResult]:
    """Each worker of the cluster: the API does without those with a problem."""
    from cluster.address import cluster_address
    from cluster.connection import ask_workers
    from readmodel.store.content import current_content

    try:
        content = current_content(settings.data_dir)
        workers = ask_workers(cluster_address(settings), content)
    except SettingsError as error:
        yield failed("cluster", str(error))
        return
    except FppError as error:
        yield warning("cluster", f"{error}; the API computes all answers itself")
        return
    if not workers:
        yield warning("cluster", "the scheduler answers, but has no workers")
    for worker in workers:
        if worker.problem:
            yield warning("cluster", f"worker {worker.address}: {worker.problem}")
        else:
            yield passed("cluster", f"worker {worker.address} can run plans")
