"""The updater with a clock that is wrong: `python -m bench.soak_updater SECONDS …`."""

import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import update_readmodel
from updater.runner import Runner


def main(arguments: list[str]) -> int:
    """Run the updater's command with a clock that is so many seconds ahead."""
    ahead = timedelta(seconds=float(arguments[0]))
    update_readmodel.Runner = partial(  # type: ignore[assignment, attr-defined]
        Runner, now=lambda: datetime.now(UTC) + ahead
    )
    return update_readmodel.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
