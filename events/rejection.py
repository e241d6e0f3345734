"""The rejection of one event of a batch."""

from events.codes import RejectionCode


class EventRejected(Exception):
    """An event cannot be accepted; the others of its batch can.

    `schema` is the file of the schema that it breaks, if that is the reason.
    """

    def __init__(
        self, code: RejectionCode, message: str, schema: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.schema = schema
