"""The services that are told of failures: UptimeKuma and Sentry."""

from config import Settings
from updater.doctor.check_result import CheckResult, failed, passed, warning
from util.errors import SettingsError
from util.heartbeat import Heartbeat
from util.probe import connection_problem
from util.sentry_wrapper import PRODUCTION


def check_uptime_kuma(settings: Settings) -> CheckResult:
    """Whether its host answers; nothing is pushed."""
    url = settings.uptimekuma_push_url
    if url is None:
        return warning(
            "UptimeKuma", "UPTIMEKUMA_PUSH_URL is not set: failures alert nobody"
        )
    try:
        Heartbeat(url.get_secret_value())
    except SettingsError as error:
        return failed("UptimeKuma", str(error))
    if problem := connection_problem(url.get_secret_value()):
        return warning("UptimeKuma", f"{problem}: check UPTIMEKUMA_PUSH_URL")
    return passed("UptimeKuma", "its host answers; nothing was pushed")


def check_sentry(settings: Settings) -> CheckResult:
    """Whether it is used and its host answers; nothing is sent."""
    production = settings.sentry_environment.strip().lower() == PRODUCTION
    if not production or settings.dsn is None:
        return warning(
            "Sentry", "not used: set SENTRY_DSN, and SENTRY_ENVIRONMENT=production"
        )
    if problem := connection_problem(settings.dsn):
        return warning("Sentry", f"{problem}: check SENTRY_DSN")
    return passed("Sentry", "its host answers; nothing was sent")
