"""From settings to the source that they name."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from config import Settings
from readmodel.mysql import MysqlSource
from readmodel.source import Source
from readmodel.sqlite import SqliteSource
from util.errors import SettingsError

_FORMS = (
    "use sqlite:///relative.db, sqlite:////absolute.db "
    "or mysql://user:password@host:3306/database"
)


def source_of(settings: Settings) -> Source:
    """The database that SOURCE_URL names or, without it, the DB_* settings.

    Raises SettingsError that names what is missing or malformed, never a secret.
    """
    if settings.source_url is not None:
        return _from_url(settings.source_url.get_secret_value())
    given = {
        "DB_HOST": settings.db_host,
        "DB_USERNAME": settings.db_username,
        "DB_PASSWORD": settings.db_password,
    }
    if missing := [name for name, value in given.items() if value is None]:
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
        port = parts.port or 3306
    except ValueError:
        raise SettingsError(f"SOURCE_URL is malformed: {_FORMS}") from None
    path = unquote(parts.path.removeprefix("/"))
    match parts.scheme:
        case "sqlite" if path and not parts.netloc:
            return SqliteSource(Path(path))
        case "mysql" | "mariadb" if path and parts.hostname and parts.username:
            return _mysql(parts, parts.hostname, port, path)
        case _:
            raise SettingsError(f"SOURCE_URL is malformed: {_FORMS}")


def _mysql(parts: SplitResult, host: str, port: int, database: str) -> MysqlSource:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MysqlSource(host, port, user, password, database)
