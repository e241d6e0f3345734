"""The path by which a route is chosen."""

from starlette.types import Scope


def route_path(scope: Scope) -> str:
    """The path of a request without the root path, under which a proxy may serve us.

    ``/stats/health`` with ``--root-path /stats`` is ``/health``.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path
