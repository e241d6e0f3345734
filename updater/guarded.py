"""What may fail without ending the updater: its reports, and each of its runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from readmodel.store.damage import PARSE_ERRORS
from util.errors import FppError
from util.logs import get_logger
from util.sentry_wrapper import Severity

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


@contextmanager
def contained(failed: Callable[[BaseException, Severity], None]) -> Iterator[None]:
    """Tell *failed* of the error that ends the block, which it does not leave.

    The severity is high for an error of ours, and critical for any other, such as a
    panic of Polars. A request to stop and other signals pass.
    """
    try:
        yield
    except FppError as error:
        failed(error, Severity.HIGH)
    except (Exception, *PARSE_ERRORS) as error:  # noqa: BLE001 - whatever it is
        failed(error, Severity.CRITICAL)
