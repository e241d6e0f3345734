"""The replica in an object storage."""

from updater.doctor.check_result import CheckResult, failed, passed
from util.errors import FppError


def check_replica(url: str) -> CheckResult:
    """Try what an upload needs: a write that fails if the object is there."""
    from readmodel.replica.probe import examine_storage

    try:
        found = examine_storage(url)
    except FppError as error:
        return failed("replica", str(error))
    return passed("replica", found)
