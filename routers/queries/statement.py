"""The caller's statement within the text that is executed, and places in it."""

from functools import cached_property

from routers.queries.messages import cut


class CallersStatement:
    """The only statement of what a caller sent.

    Errors of what is executed name places in that text; `placed` translates them.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql.encode()
        self._shift = 0  # until it is executed, it is checked as it is

    @cached_property
    def _range(self) -> tuple[int, int]:
        """Where the statement is, in bytes: without semicolons, and what follows them."""
        import duckdb

        begin = 0
        for offset, kind in duckdb.tokenize(self._sql.decode()):
            is_operator = kind is duckdb.token_type.operator
            if not is_operator or self._sql[offset : offset + 1] != b";":
                continue
            if self._sql[begin:offset].strip():
                return begin, offset
            begin = offset + 1
        return begin, len(self._sql)

    def within(self, before: str, after: str) -> str:
        """The text to execute: the statement between *before* and *after*."""
        begin, end = self._range
        self._shift = len(before.encode()) - begin
        return before + self._sql[begin:end].decode() + after

    def placed(self, message: str, offset: int | None) -> str:
        """*message* with the line and column of *offset*, bytes into what was executed.

        Without them if the place is unknown, or is not the caller's.
        """
        place = -1 if offset is None else offset - self._shift
        if not 0 <= place <= len(self._sql):
            return cut(message)
        before = self._sql[:place].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"{cut(message)} (line {line}, column {column})"
