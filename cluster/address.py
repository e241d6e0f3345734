"""The address of the cluster, and whether it may be used without TLS."""

import ipaddress
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from config import Settings
from util.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Security

DEFAULT_PORT: Final = 8786
"""Dask's own."""

WHY_TLS: Final = (
    "whoever reaches a port of Dask can run code there; set ENGINE_TLS_CA, "
    "ENGINE_TLS_CERT and ENGINE_TLS_KEY, or use 127.0.0.1 alone"
)

TLS_SETTINGS: Final = ("engine_tls_ca", "engine_tls_cert", "engine_tls_key")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: whom to believe, and what to show. All parts of a cluster need them."""

    ca: Path
    cert: Path
    key: Path

    def security(self) -> "Security":
        """The same for Dask, which then refuses connections without TLS."""
        from distributed import Security

        own: dict[str, Any] = {
            f"tls_{role}_{part}": str(file)
            for role in ("client", "scheduler", "worker")
            for part, file in (("cert", self.cert), ("key", self.key))
        }
        return Security(tls_ca_file=str(self.ca), require_encryption=True, **own)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where the scheduler is, and how connections to it are protected."""

    host: str
    port: int
    tls: TlsFiles | None

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """As Dask has it: ``tls://scheduler:8786``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'tcp'}://{host}:{self.port}"

    def require_safe(self, host: str | None) -> None:
        """Raise SettingsError if *host*, to listen at, can be reached without TLS."""
        if host is not None and self.tls is None and not is_loopback(host):
            raise SettingsError(f"--host {host} needs TLS: {WHY_TLS}")

    def security(self) -> "Security | None":
        """See `TlsFiles.security`."""
        return self.tls.security() if self.tls else None


def is_loopback(host: str) -> bool:
    """True for ``localhost``, 127.0.0.0/8 and ::1. Other names are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def cluster_address(settings: Settings) -> ClusterAddress:
    """The address that ENGINE_URL names.

    Raises SettingsError without one, without the package, if a file of TLS is missing,
    and for an address that others can reach without TLS: whoever connects to a port of
    Dask runs code there.
    """
    if settings.engine_url is None:
        raise SettingsError(
            "ENGINE_URL is missing: set it to the scheduler, as in dask://127.0.0.1:8786"
        )
    if find_spec("distributed") is None:
        raise SettingsError(
            "ENGINE_URL needs the package distributed: install the extra, "
            "uv sync --extra dask"
        )
    parts, tls = urlsplit(settings.engine_url), _tls_files(settings)
    found = ClusterAddress(parts.hostname or "", parts.port or DEFAULT_PORT, tls)
    if tls is None and (parts.scheme == "tls" or not found.is_loopback):
        raise SettingsError(f"ENGINE_URL {settings.engine_url} needs TLS: {WHY_TLS}")
    return found


def _tls_files(settings: Settings) -> TlsFiles | None:
    files = {name: getattr(settings, name) for name in TLS_SETTINGS}
    if not any(files.values()):
        return None
    for name, file in files.items():
        if file is None:
            raise SettingsError(
                f"{name.upper()} is missing: TLS needs the files of all three settings"
            )
        if not file.is_file():
            raise SettingsError(f"{name.upper()} {file} is no file")
    found = TlsFiles(*files.values())
    try:
        context = ssl.create_default_context(cafile=found.ca)
        context.load_cert_chain(found.cert, found.key)
    except OSError as error:
        raise SettingsError(
            "ENGINE_TLS_CA, ENGINE_TLS_CERT and ENGINE_TLS_KEY cannot be used: "
            f"{error.strerror or error}"
        ) from None
    return found
