"""The routes of one module."""

from typing import Any

from fastapi import APIRouter

from util.application import operation_id


class ApiRoutes(APIRouter):
    """Routes to add to an application as they are, by its list of routes.

    `include_router` would create each again at the first request, with all models of its
    documentation, and would look for the route of each request in two lists, twice.
    """

    def __init__(self, **options: Any) -> None:
        """See APIRouter for the *options*."""
        super().__init__(generate_unique_id_function=operation_id, **options)
