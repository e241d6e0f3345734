"""Reports must not fail the work that they report."""

from collections.abc import Callable

from readmodel.store.damage import PARSE_ERRORS
from util.logs import get_logger

_log = get_logger("updater")


def guarded[**P, T](
    report: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T | None:
    """The result of *report*; None if it raised, which is logged.

    A request to stop and other signals pass.
    """
    try:
        return report(*args, **kwargs)
    except (Exception, *PARSE_ERRORS) as error:  # noqa: BLE001 - whatever it is
        name = getattr(report, "__qualname__", type(report).__name__)
        _log.error(
            f"A report failed ({name}): {type(error).__name__}: {error}",
            action="report",
        )
        return None
