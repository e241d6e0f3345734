"""The checks of `doctor`, in order."""

from collections.abc import Iterator

from config import Settings
from readmodel.spool.folder import folder_spools
from updater.doctor.access import check_confinement, check_tokens
from updater.doctor.check_result import CheckResult, passed
from updater.doctor.cluster import check_cluster
from updater.doctor.data_dir import check_data_dir
from updater.doctor.database import check_database
from updater.doctor.events import check_collectors, check_spool, check_topic
from updater.doctor.monitoring import check_sentry, check_uptime_kuma
from updater.doctor.replica import check_replica
from updater.doctor.sql_files import check_sql_files


def examine(settings: Settings) -> Iterator[CheckResult]:
    """Run every check; yield each result at once. The settings were read before."""
    yield passed("settings", "can be read")
    yield from check_database(settings)
    yield from check_data_dir(settings.data_dir)
    yield from check_sql_files(settings)
    yield from check_tokens(settings)
    if settings.sql_tokens or settings.jwt_query_roles:
        yield check_confinement(settings.data_dir)
    if settings.spool_dir:
        yield from map(check_spool, folder_spools(settings.spool_dir))
    if settings.collector_urls:
        yield from check_collectors(settings)
    if settings.kafka_bootstrap_servers:
        yield check_topic(settings)
    if settings.replica_url:
        yield check_replica(settings.replica_url)
    if settings.engine_url:
        yield from check_cluster(settings)
    yield check_uptime_kuma(settings)
    yield check_sentry(settings)
