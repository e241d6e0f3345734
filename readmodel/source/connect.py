"""The source and the tables that the settings name.

Only the driver of that source is imported.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from config import Settings
from readmodel.source.no_database import NoDatabase
from readmodel.source.protocol import READ_SECONDS, Source
from readmodel.tables import Table, select_tables
from util.errors import SettingsError

if TYPE_CHECKING:
    from readmodel.source.mysql.source import MysqlSource
    from readmodel.source.postgres.source import PostgresSource

# No example has a password: it would be hidden, as any other in a log.
_URL_FORMS = (
    "use sqlite:///relative.db, sqlite:////absolute.db, mysql://user@host:3306/database "
    "or postgresql://user@host:5432/database, with a colon and the password after user"
)
_MYSQL_PORT = 3306
_POSTGRES_PORT = 5432
# Parameters of libpq that a URL may set: how to connect, not what is read.
_POSTGRES_PARAMETERS = frozenset(
    {
        "channel_binding",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "require_auth",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
    }
)


def source_from_settings(settings: Settings) -> Source:
    """Choose the database that SOURCE_URL names or, without it, the DB_* settings.

    None of them is needed if no table is mirrored.
    Raises SettingsError that names a missing or malformed setting, never a secret.
    """
    if settings.source_url is not None:
        return _from_url(settings, settings.source_url.get_secret_value())
    if settings.db_host is None and not tables_from_settings(settings):
        return NoDatabase()
    return _from_parts(settings)


def _read_seconds(settings: Settings) -> int:
    """A run that waits for a frozen server must end before the next run starts."""
    return min(READ_SECONDS, max(1, settings.sync_interval_seconds // 2))


def tables_from_settings(settings: Settings) -> list[Table]:
    """List the tables to mirror: those of SYNC_TABLES, then TABLES or the statistics'.

    Raises SettingsError when the two disagree on a table.
    """
    return select_tables(settings.table_keys, settings.further_table_keys)


def _authority(settings: Settings) -> str | None:
    file = settings.db_ssl_ca
    if file is not None and not file.is_file():
        raise SettingsError(f"DB_SSL_CA names {file}, which is not a file")
    return str(file) if file else None


def _verified_tls(authority: str | None) -> dict[str, str]:
    """Libpq's parameters to trust only servers that *authority* has certified."""
    if authority is None:
        return {}
    return {"sslmode": "verify-full", "sslrootcert": authority}


def _from_parts(settings: Settings) -> "MysqlSource":
    required = {
        "DB_HOST": settings.db_host,
        "DB_USERNAME": settings.db_username,
        "DB_PASSWORD": settings.db_password,
    }
    if missing := [name for name, value in required.items() if value is None]:
        raise SettingsError(
            f"{', '.join(missing)} missing: set DB_HOST, DB_USERNAME and DB_PASSWORD, "
            "or SOURCE_URL"
        )
    from readmodel.source.mysql.source import MysqlSource

    password = settings.db_password
    return MysqlSource(
        host=settings.db_host or "",
        port=settings.db_port,
        user=settings.db_username or "",
        password=password.get_secret_value() if password else "",
        database=settings.db_name,
        ssl_ca=_authority(settings),
        read_seconds=_read_seconds(settings),
    )


def _from_url(settings: Settings, url: str) -> Source:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_malformed(url)) from None
    path = unquote(parts.path.removeprefix("/"))
    match parts.scheme:
        case "sqlite" if path and not parts.netloc:
            from readmodel.source.sqlite.source import SqliteSource

            return SqliteSource(Path(path))
        case "mysql" | "mariadb" if path and parts.hostname and parts.username:
            return _mysql(settings, parts, port or _MYSQL_PORT, path)
        case "postgresql" | "postgres" if path and parts.hostname and parts.username:
            return _postgres(settings, parts, port or _POSTGRES_PORT, path)
        case _:
            raise SettingsError(_malformed(url))


def _malformed(url: str) -> str:
    """What is wrong with *url*, of which no part is shown."""
    before_host = url.partition("://")[2].rpartition("@")[0]
    if raw := [character for character in "/?#" if character in before_host]:
        escapes = ", ".join(f"{c} as %{ord(c):02X}" for c in raw)
        return (
            "SOURCE_URL is malformed: percent-encode the password, and the user: "
            f"write {escapes}"
        )
    return f"SOURCE_URL is malformed: {_URL_FORMS}"


def _mysql(
    settings: Settings, parts: SplitResult, port: int, database: str
) -> "MysqlSource":
    from readmodel.source.mysql.source import MysqlSource

    return MysqlSource(
        parts.hostname or "",
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        database,
        ssl_ca=_authority(settings),
        read_seconds=_read_seconds(settings),
    )


def _postgres(
    settings: Settings, parts: SplitResult, port: int, database: str
) -> "PostgresSource":
    from readmodel.source.postgres.errors import MISSING_DRIVER
    from readmodel.source.postgres.source import PostgresSource

    if find_spec("psycopg") is None:
        raise SettingsError(f"SOURCE_URL cannot be used: {MISSING_DRIVER}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _POSTGRES_PARAMETERS):
        raise SettingsError(
            f"SOURCE_URL has the parameter {unknown[0]}, which is not one of "
            f"{', '.join(sorted(_POSTGRES_PARAMETERS))}"
        )
    return PostgresSource(
        parts.hostname or "",
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        database,
        _verified_tls(_authority(settings)) | options,
        read_seconds=_read_seconds(settings),
    )
