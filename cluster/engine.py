"""The engine of Polars that lets a cluster run plans."""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import polars as pl

from cluster.reasons import Reason
from util.errors import ClusterError

if TYPE_CHECKING:
    from polars._typing import PostOptCallback
    from polars.lazyframe.in_process import InProcessQuery
    from polars.lazyframe.query_result import QueryResult


class RunsPlans(Protocol):
    """Runs serialised plans elsewhere."""

    def run(
        self, plans: Sequence[bytes], content: str, *, is_streaming: bool
    ) -> list[bytes]:
        """The rows of each plan as Arrow IPC. Raises ClusterError."""


class DaskEngine(pl.Engine):
    """Runs plans on the workers of a cluster, which have files of *content*.

    Plans name their files as `readmodel.store.content` does. Each is run as a whole by
    one worker, `collect_all` runs all at once. Raises ClusterError.
    """

    def __init__(
        self, connection: RunsPlans, content: str, *, is_streaming: bool
    ) -> None:
        """Let workers use the streaming engine if *is_streaming*, or that in memory."""
        self._connection = connection
        self._content = content
        self._is_streaming = is_streaming

    @property
    def name(self) -> str:
        """Name of the engine."""
        return "dask"

    @property
    def plan_engine(self) -> str:
        """Name of the engine that the workers use."""
        return "streaming" if self._is_streaming else "in-memory"

    def collect(  # type: ignore[override]
        self,
        lf: pl.LazyFrame,
        *,
        optimizations: pl.QueryOptFlags,
        background: bool = False,
        post_opt_callback: "PostOptCallback | None" = None,
    ) -> "pl.DataFrame | InProcessQuery":
        """The rows of *lf*."""
        if background or post_opt_callback:
            raise NotImplementedError("a cluster runs plans in the foreground")
        return self.collect_all([lf], optimizations=optimizations)[0]

    def execute(
        self, lf: pl.LazyFrame, *, optimizations: pl.QueryOptFlags
    ) -> "QueryResult":
        """The rows of *lf*, which are in this process."""
        return pl.InMemoryEngine().execute(
            self.collect_all([lf], optimizations=optimizations)[0].lazy(),
            optimizations=optimizations,
        )

    def collect_all(
        self,
        lfs: Iterable[pl.LazyFrame],
        *,
        optimizations: pl.QueryOptFlags,  # noqa: ARG002 - workers use all of them
    ) -> list[pl.DataFrame]:
        """The rows of each of *lfs*."""
        plans = list(lfs)
        if not plans:
            return []
        rows = self._connection.run(
            [plan.serialize() for plan in plans],
            self._content,
            is_streaming=self._is_streaming,
        )
        return [_read(*each) for each in zip(plans, rows, strict=True)]


def _read(plan: pl.LazyFrame, rows: bytes) -> pl.DataFrame:
    """The *rows* of *plan*. Raises ClusterError unless they have its columns."""
    try:
        frame = pl.read_ipc(io.BytesIO(rows))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ClusterError(Reason.ROWS, f"its rows cannot be read: {error}") from error
    if frame.schema != plan.collect_schema():
        raise ClusterError(Reason.ROWS, "its rows have other columns than the plan")
    return frame
