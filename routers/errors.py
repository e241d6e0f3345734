"""Errors that the application answers for every route."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlfiles.definition import Definition  # with the routes that raise the error


class ClientDisconnected(Exception):
    """The client has gone, so there is nobody to answer."""


class ReportFailed(Exception):
    """A report failed on its rows; the message is the engine's."""

    def __init__(self, definition: "Definition", message: str) -> None:
        """Name the definition's file and line."""
        super().__init__(f"{definition.file}:{definition.sql_line}: {message}")
        self.detail = f"The report {definition.name} failed"
