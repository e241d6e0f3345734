"""The source and the tables that the settings name."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from config import Settings
from readmodel.source.mysql.server import READ_SECONDS
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.no_database import NoDatabase
from readmodel.source.postgres.errors import MISSING_DRIVER
from readmodel.source.postgres.source import PostgresSource
from readmodel.source.protocol import Source
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import Table, select_tables
from util.errors import SettingsError

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
        source = _from_url(settings.source_url.get_secret_value())
    elif settings.db_host is None and not tables_from_settings(settings):
        return NoDatabase()
    else:
        source = _from_parts(settings)
    # A run that waits for a frozen server must end before the next run starts.
    seconds = min(READ_SECONDS, max(1, settings.sync_interval_seconds // 2))
    match source:
        case MysqlSource():
            return replace(source, ssl_ca=_authority(settings), read_seconds=seconds)
        case PostgresSource():
            options = _verified_tls(_authority(settings)) | dict(source.options)
            return replace(source, options=options, read_seconds=seconds)
    return source


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


def _from_parts(settings: Settings) -> MysqlSource:
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
    password = settings.db_password
    return MysqlSource(
        host=settings.db_host or "",
        port=settings.db_port,
        user=settings.db_username or "",
        password=password.get_secret_value() if password else "",
        database=settings.db_name,
    )


def _from_url(url: str) -> Source:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_malformed(url)) from None
    path = unquote(parts.path.removeprefix("/"))
    match parts.scheme:
        case "sqlite" if path and not parts.netloc:
            return SqliteSource(Path(path))
        case "mysql" | "mariadb" if path and parts.hostname and parts.username:
            return _mysql(parts, parts.hostname, port or _MYSQL_PORT, path)
        case "postgresql" | "postgres" if path and parts.hostname and parts.username:
            return _postgres(parts, parts.hostname, port or _POSTGRES_PORT, path)
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


def _mysql(parts: SplitResult, host: str, port: int, database: str) -> MysqlSource:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MysqlSource(host, port, user, password, database)


def _postgres(
    parts: SplitResult, host: str, port: int, database: str
) -> PostgresSource:
    if find_spec("psycopg") is None:
        raise SettingsError(f"SOURCE_URL cannot be used: {MISSING_DRIVER}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _POSTGRES_PARAMETERS):
        raise SettingsError(
            f"SOURCE_URL has the parameter {unknown[0]}, which is not one of "
            f"{', '.join(sorted(_POSTGRES_PARAMETERS))}"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return PostgresSource(host, port, user, password, database, options)
