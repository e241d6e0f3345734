"""How to connect to Kafka, from the settings."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from config import Settings
from util.errors import SettingsError

MISSING_DRIVER: Final = (
    "KAFKA_BOOTSTRAP_SERVERS needs confluent-kafka, which is not installed: "
    "run uv sync --extra kafka"
)

FETCHED_KILOBYTES: Final = 32 * 1024
"""How much the client reads ahead, of all partitions together."""


def client_options(settings: Settings) -> Mapping[str, Any]:
    """Options of librdkafka for all clients.

    Raises SettingsError that names a missing or malformed setting, or if the driver is
    missing.
    """
    if find_spec("confluent_kafka") is None:
        raise SettingsError(MISSING_DRIVER)
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": "fpp-analytics",
        # Messages of the client's own go to standard error; errors are reported by us.
        "log_level": 0,
        "reconnect.backoff.max.ms": 2_000,
        "socket.timeout.ms": 10_000,
        "security.protocol": _protocol(settings).lower(),
        **_sasl(settings),
        **_tls(settings),
    }


def _protocol(settings: Settings) -> str:
    """Without KAFKA_SECURITY_PROTOCOL a password is sent by TLS only."""
    if settings.kafka_security_protocol:
        return settings.kafka_security_protocol
    if settings.kafka_sasl_user:
        return "SASL_SSL"
    return "SSL" if settings.kafka_ssl_ca or settings.kafka_ssl_cert else "PLAINTEXT"


def _sasl(settings: Settings) -> dict[str, str]:
    protocol = _protocol(settings)
    if not protocol.startswith("SASL_"):
        if settings.kafka_sasl_user or settings.kafka_sasl_pass:
            raise SettingsError(
                f"KAFKA_SECURITY_PROTOCOL is {protocol}, which sends no password: use "
                "SASL_SSL or SASL_PLAINTEXT, or unset KAFKA_SASL_USER"
            )
        return {}
    if settings.kafka_sasl_user is None or settings.kafka_sasl_pass is None:
        raise SettingsError(
            f"KAFKA_SASL_USER or KAFKA_SASL_PASS is missing: {protocol} needs both"
        )
    return {
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_user,
        "sasl.password": settings.kafka_sasl_pass.get_secret_value(),
    }


def _tls(settings: Settings) -> dict[str, str]:
    files = {
        "ssl.ca.location": ("KAFKA_SSL_CA", settings.kafka_ssl_ca),
        "ssl.certificate.location": ("KAFKA_SSL_CERT", settings.kafka_ssl_cert),
        "ssl.key.location": ("KAFKA_SSL_KEY", settings.kafka_ssl_key),
    }
    return {
        option: _existing(variable, file)
        for option, (variable, file) in files.items()
        if file is not None
    }


def _existing(variable: str, file: Path) -> str:
    if not file.is_file():
        raise SettingsError(f"{variable} names {file}, which is not a file")
    return str(file)
