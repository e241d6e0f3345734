"""The verdict on each event of a request: the line of the spool that it becomes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from config import Settings
from events import clock, fields
from events.clock import ClockBounds
from events.codes import RejectionCode
from events.ids import new_id, repeatable_id
from events.lines import RAW_CHARACTERS, AcceptedLine, RejectedLine
from events.privacy import Pseudonyms
from events.rejection import EventRejected
from events.schemas import EventSchemas

MAX_EVENT_BYTES: Final = 32 * 1024
"""Bytes of an event's properties, as JSON."""


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What the events of one request have in common.

    `sender` is who sent them, as it is stored; `user` is the only user that they may be
    of, or None for any. `received` is the instant `received_at`, in microseconds, and
    `arrived` the one by which clocks are corrected: earlier if a message waited in Kafka.
    `sent_at` is what the request states, if anything. `message_id` is the id of an event
    that has none, for a message of Kafka.
    """

    id: str
    sender: str
    user: str | None
    received_at: datetime
    received: int
    arrived: int
    sent_at: object = None
    idempotency_key: str | None = None
    message_id: str | None = None


type Verdict = AcceptedLine | RejectedLine


class Judge:
    """Checks events, as the settings demand."""

    def __init__(
        self, schemas: EventSchemas, bounds: ClockBounds, pseudonyms: Pseudonyms
    ) -> None:
        self._schemas = schemas
        self._bounds = bounds
        self._pseudonyms = pseudonyms
        self._hash_key = pseudonyms.hash_key

    @classmethod
    def of(cls, settings: Settings) -> "Judge":
        """Raises SettingsError if a schema cannot be used."""
        return cls(
            EventSchemas.load(settings),
            ClockBounds.of(settings),
            Pseudonyms.of(settings),
        )

    @property
    def hides_users(self) -> bool:
        """True if user ids are stored as pseudonyms only."""
        return self._pseudonyms.is_active

    def judge(self, event: object, index: int, batch: BatchContext) -> Verdict:
        """Accept or reject the event *index* of *batch*."""
        try:
            if not isinstance(event, dict):
                raise EventRejected(
                    RejectionCode.NOT_AN_OBJECT, "an event must be a JSON object"
                )
            return self._accept(event, index, batch)
        except EventRejected as rejected:
            return self._reject(event, index, batch, rejected)

    def _accept(
        self, event: Mapping[str, Any], index: int, batch: BatchContext
    ) -> AcceptedLine:
        name = fields.name(event)
        event_id = _event_id(event, index, batch)
        user_id = batch.user or fields.text(
            event, fields.USER_ID, RejectionCode.USER_ID
        )
        app_id = fields.text(event, fields.APP_ID, RejectionCode.FIELD)
        source = fields.text(event, fields.SOURCE, RejectionCode.FIELD)
        properties = fields.properties(event)
        self._schemas.check(name, properties)
        encoded = _encode(properties)
        sent = fields.first(event, fields.AT)
        claimed = None if sent is None else clock.parse(sent, "timestamp")
        sent_at = _sent_at(event, batch)
        at = self._at(claimed, sent_at, batch)
        content = to_json_text([app_id, name, user_id, claimed, source, encoded])
        return {
            "event_id": event_id,
            "app_id": app_id,
            "name": name,
            "user_id": user_id and self._pseudonyms.of_user(user_id, batch.received_at),
            "at": at,
            "source": source,
            "properties": encoded,
            "received_at": batch.received,
            "sender": batch.sender,
            "sent_at": sent_at,
            "content_hash": self._hash(content),
            "batch": batch.id,
        }

    def _at(self, claimed: int | None, sent_at: int | None, batch: BatchContext) -> int:
        """When the event happened; when it arrived, if it does not say."""
        at = batch.arrived
        if claimed is not None:
            at = clock.corrected(claimed, sent_at, batch.arrived)
        self._bounds.check(at, batch.received)
        return at

    def _reject(
        self, event: object, index: int, batch: BatchContext, reason: EventRejected
    ) -> RejectedLine:
        sent = event
        if isinstance(event, dict):
            sent = self._pseudonyms.in_event(event, fields.USER_ID, batch.received_at)
        raw = to_json_text(sent)
        event_id = _known_id(event, index, batch)
        same = f"{event_id}:{reason.code}:{self._hash(to_json_text(event))}"
        line: RejectedLine = {
            "rejection_id": same if event_id else new_id(batch.received),
            "event_id": event_id,
            "code": reason.code,
            "message": _printable(reason.message),
            "raw": raw[:RAW_CHARACTERS],
            "sender": batch.sender,
            "received_at": batch.received,
            "batch": batch.id,
        }
        return {**line, "schema": reason.schema} if reason.schema else line

    def _hash(self, content: str) -> int:
        """64 bits, signed. With a key, since user ids could be found by trying them."""
        digest = hashlib.blake2b(content.encode(), digest_size=8, key=self._hash_key)
        return int.from_bytes(digest.digest(), signed=True)


def to_json_text(value: object) -> str:
    """JSON text of *value*; lone surrogates, which no text file holds, become ``?``."""
    try:
        return to_json(value, inf_nan_mode="strings").decode()
    except PydanticSerializationError:
        import json

        text = json.dumps(value, ensure_ascii=False)
        return _printable(text)


def _encode(properties: Mapping[str, Any]) -> str:
    """The properties as JSON. Raises EventRejected if that is impossible or too long."""
    try:
        encoded = to_json(properties, inf_nan_mode="strings")
    except PydanticSerializationError:
        raise EventRejected(RejectionCode.TEXT, fields.SURROGATE) from None
    if len(encoded) > MAX_EVENT_BYTES:
        raise EventRejected(
            RejectionCode.TOO_LARGE,
            f"the properties have {len(encoded):,} bytes, at most {MAX_EVENT_BYTES:,} "
            "are allowed",
        )
    return encoded.decode()


def _event_id(event: Mapping[str, Any], index: int, batch: BatchContext) -> str:
    """The client's id, or that of its request, or a new one."""
    found = fields.text(event, fields.ID, RejectionCode.ID)
    return found or _id_of_request(index, batch) or new_id(batch.received)


def _known_id(event: object, index: int, batch: BatchContext) -> str | None:
    """The id by which a repetition of a rejected event is recognised, if any."""
    try:
        found = (
            fields.text(event, fields.ID, RejectionCode.ID)
            if isinstance(event, dict)
            else None
        )
    except EventRejected:
        found = None
    return (found and _printable(found)) or _id_of_request(index, batch)


def _id_of_request(index: int, batch: BatchContext) -> str | None:
    if batch.idempotency_key is None:
        return batch.message_id
    return repeatable_id(batch.sender, batch.idempotency_key, index)


def _sent_at(event: Mapping[str, Any], batch: BatchContext) -> int | None:
    """When the client sent the event, by its own clock."""
    sent = fields.first(event, fields.SENT_AT)
    sent = batch.sent_at if sent is None else sent
    return None if sent is None else clock.parse(sent, "sentAt")


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
