"""Split a SQL file into definitions: a header of `--` lines, then a statement.

A line of the header is one of these; anything else after the dashes is a remark:

    -- @key value        sets a key
    -- | more text       continues the value of the key before it

Below the header, `-- @` at the start of a line begins the next definition.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class HeaderEntry:
    """One key of a header: its value, and the lines that continue it."""

    key: str
    value: str
    line: int
    more: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The value with all its lines."""
        return "\n".join((self.value, *self.more)).strip()


@dataclass(slots=True)
class RawDefinition:
    """A header and the text below it, up to the next header."""

    line: int
    entries: list[HeaderEntry] = field(default_factory=list)
    sql_lines: list[str] = field(default_factory=list)
    sql_line: int = 0

    @property
    def sql(self) -> str:
        """The statement as written."""
        return "\n".join(self.sql_lines).strip("\n")

    def first(self, key: str) -> str | None:
        """The value of the first *key*; None if there is none or it is empty."""
        return next((e.text for e in self.entries if e.key == key and e.text), None)


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """A line that cannot be understood."""

    line: int
    message: str


def split(text: str) -> tuple[list[RawDefinition], list[HeaderFault]]:
    """Split *text* into its definitions, and the faults outside any of them."""
    splitter = _Splitter()
    for number, line in enumerate(text.splitlines(), start=1):
        splitter.read(number, line)
    if not splitter.definitions and not splitter.faults:
        splitter.faults.append(HeaderFault(1, "no definition: a header needs -- @name"))
    return splitter.definitions, splitter.faults


class _Splitter:
    def __init__(self) -> None:
        self.definitions: list[RawDefinition] = []
        self.faults: list[HeaderFault] = []
        self._stray = False

    @property
    def _open(self) -> RawDefinition | None:
        """The definition whose header is being read."""
        last = self.definitions[-1] if self.definitions else None
        return None if last is None or last.sql_lines else last

    def read(self, number: int, line: str) -> None:
        if line.startswith("--") and line[2:].lstrip().startswith("@"):
            self._key(number, line[2:].lstrip()[1:])
        elif self._open is not None or not self.definitions:
            self._before_sql(number, line)
        else:
            self.definitions[-1].sql_lines.append(line)

    def _key(self, number: int, text: str) -> None:
        if self._open is None:
            self.definitions.append(RawDefinition(number))
        key, _, value = text.replace("\t", " ").partition(" ")
        entry = HeaderEntry(key, value.strip(), number)
        self.definitions[-1].entries.append(entry)

    def _before_sql(self, number: int, line: str) -> None:
        stripped = line.strip()
        if stripped.startswith("--"):
            self._remark(number, stripped[2:].lstrip())
        elif not stripped:
            return
        elif definition := self._open:
            definition.sql_lines.append(line)
            definition.sql_line = number
        elif not self._stray:
            self._stray = True
            self.faults.append(HeaderFault(number, "SQL without a header above it"))

    def _remark(self, number: int, text: str) -> None:
        if text.startswith("@"):
            self.faults.append(
                HeaderFault(number, "a key must begin at the start of its line")
            )
        elif text.startswith("|"):
            if self._open is None:
                self.faults.append(HeaderFault(number, "| continues no key"))
            else:
                self._open.entries[-1].more.append(text[1:].strip())
