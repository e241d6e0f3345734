"""What may fail without ending the updater: its reports, and each of its runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

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
    name = getattr(report, "__qualname__", type(report).__name__)
    with contained(partial(_log_failure, name)):
        return report(*args, **kwargs)
    return None


def _log_failure(name: str, error: BaseException, _: Severity) -> None:
    text = f"A report failed ({name}): {type(error).__name__}: {error}"
    _log.error(text, action="report")


@contextmanager
def contained(failed: Callable[[BaseException, Severity], None]) -> Iterator[None]:
    """Tell *failed* of the error that ends the block, which it does not leave.

    The updater's only handler of any error, around its runs, reports and threads.

    The severity is high for an error of ours, and critical for any other, such as a
    panic of Polars. A request to stop and other signals pass.
    """
    try:
        yield
    except (Exception, *PARSE_ERRORS) as error:  # noqa: BLE001 - whatever it is
        failed(error, _severity(error))


def _severity(error: BaseException) -> Severity:
    return Severity.HIGH if isinstance(error, FppError) else Severity.CRITICAL
