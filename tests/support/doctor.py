"""Run `update_readmodel.py doctor` and return its checks."""

from tests.support.programs import run_updater


def checks_of(settings: dict[str, str], code: int) -> dict[str, str]:
    """Return doctor's line per check; the last one if a check has several."""
    done = run_updater(settings, "doctor")
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {name: f"{mark} {text}" for mark, name, text in lines}
