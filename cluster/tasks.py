"""The functions that workers call. Schedulers import this module, but not Polars.

Arguments and results are values that any version can read: versions are compared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.running import PlanRunner
    from cluster.versions import Versions


def describe(content: str | None) -> tuple[Versions, bool]:
    """The versions of a worker, and whether it has a snapshot with *content*."""
    from cluster.versions import own_versions

    return own_versions(), content is not None and _runner().holds(content)


def run_plan(
    plan: bytes, content: str, is_streaming: bool, versions: Versions
) -> bytes:
    """See `PlanRunner.run`. Raises ClusterError ("versions") unless this has *versions*."""
    from cluster.running import PlanTask
    from cluster.versions import differences, own_versions
    from util.errors import ClusterError

    if found := differences(versions, own_versions()):
        raise ClusterError("versions", f"it has {found}")
    return _runner().run(PlanTask(plan, content, is_streaming))


def serve(runner: PlanRunner) -> None:
    """Let *runner* run the plans that are sent to this process."""
    _runners[:] = [runner]


def _runner() -> PlanRunner:
    """Raises ClusterError in a worker that another program started."""
    from util.errors import ClusterError

    if not _runners:
        raise ClusterError("worker", "it was not started by run_cluster.py")
    return _runners[0]


_runners: list[PlanRunner] = []
