"""The verdict on each event of a request: the line of the spool that it becomes."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, overload

from pydantic_core import PydanticSerializationError, to_json

from events import clock, fields
from events.accepted import AcceptedEvents
from events.clock import ClockBounds
from events.codes import RejectionCode
from events.fields import SentEvent
from events.ids import hash_all, new_id
from events.joined_json import encode_arrays
from events.lines import (
    RAW_CHARACTERS,
    TRACEPARENT,
    AcceptedLine,
    RejectedLine,
    encode_lines,
)
from events.privacy import Pseudonyms
from events.rejection import EventRejected
from events.rules import EventRules
from events.schemas import EventSchemas
from events.shapes import EventShape, Unusual, encode_all

if TYPE_CHECKING:
    from config import Settings

MAX_EVENT_BYTES: Final = 32 * 1024
"""Bytes of an event's properties, as JSON."""


MAX_SHAPES: Final = 1_000
"""Of different lists of fields that are remembered."""


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What the events of one request, or of one read of a topic, have in common.

    `sender` is who sent them, as it is stored; `user` is the only user that they may be
    of, or None for any. `received` is the instant `received_at`, in microseconds.
    `sent_at` is what the request states, if anything.
    """

    sender: str
    user: str | None
    received_at: datetime
    received: int
    sent_at: object = None


class EventPlace(NamedTuple):
    """Where one event comes from.

    `batch` is stored with it. `arrived` is the instant by which the client's clock is
    corrected: before `received` if a message waited in Kafka. `fallback_id` is the id of
    the event if it has none, None for a new one.
    """

    batch: str
    arrived: int
    fallback_id: str | None = None


class EventPlaces(Sequence[EventPlace]):
    """The places of many events, by columns: a quarter of the work of one by one."""

    __slots__ = ("columns",)

    def __init__(
        self,
        batches: Sequence[str],
        arrived: Sequence[int],
        fallback_ids: Sequence[str | None],
    ) -> None:
        """Each has a value for each event, see EventPlace."""
        self.columns = (batches, arrived, fallback_ids)

    def __len__(self) -> int:
        """The number of events."""
        return len(self.columns[0])

    @overload
    def __getitem__(self, index: int) -> EventPlace: ...
    @overload
    def __getitem__(self, index: slice) -> "EventPlaces": ...
    def __getitem__(self, index: int | slice) -> "EventPlace | EventPlaces":
        """One of the places, or some of them."""
        batches, arrived, fallback_ids = self.columns
        if isinstance(index, slice):
            return EventPlaces(batches[index], arrived[index], fallback_ids[index])
        return EventPlace(batches[index], arrived[index], fallback_ids[index])

    @classmethod
    def of(cls, places: Sequence[EventPlace]) -> "EventPlaces":
        """The columns of *places*."""
        if isinstance(places, cls):
            return places
        return cls(*zip(*places, strict=True))


type Verdict = AcceptedLine | RejectedLine


class Judged(NamedTuple):
    """The verdicts on some events: those accepted, and the others with their index."""

    accepted: AcceptedEvents
    rejected: list[tuple[int, RejectedLine]]

    def add(self, verdict: Verdict) -> None:
        """Add the verdict on the next event."""
        if "code" in verdict:
            index = len(self.accepted) + len(self.rejected)
            self.rejected.append((index, verdict))
        else:
            self.accepted.append(verdict)

    def encode(self, traceparent: str | None = None) -> bytes:
        """The lines of the spool: the accepted events, then each rejected one.

        The first line names the trace *traceparent*.
        """
        accepted = self.accepted.encode(traceparent)
        rejected: list[Mapping[str, Any]] = [line for _, line in self.rejected]
        if rejected and not accepted and traceparent is not None:
            rejected[0] = {**rejected[0], TRACEPARENT: traceparent}
        return accepted + encode_lines(rejected)

    def lines(self) -> list[Verdict]:
        """The verdicts in the order of the events."""
        lines: list[Verdict] = [*self.accepted.lines()]
        for index, line in self.rejected:
            lines.insert(index, line)
        return lines


class Judge:
    """Checks events, as the settings demand."""

    def __init__(
        self, schemas: EventSchemas, bounds: ClockBounds, pseudonyms: Pseudonyms
    ) -> None:
        self._schemas = schemas
        self._bounds = bounds
        self._pseudonyms = pseudonyms
        self._fresh_hash = hashlib.blake2b(digest_size=8, key=pseudonyms.hash_key)
        self._shapes: dict[tuple[str, ...], EventShape] = {}

    @classmethod
    def of(
        cls, settings: "Settings", pseudonyms: type[Pseudonyms] = Pseudonyms
    ) -> "Judge":
        """Raises SettingsError if a schema cannot be used."""
        return cls.by(EventRules.of(settings), pseudonyms)

    @classmethod
    def by(
        cls, rules: EventRules, pseudonyms: type[Pseudonyms] = Pseudonyms
    ) -> "Judge":
        """The judge who applies *rules*. Raises SettingsError, as `of` does."""
        return cls(
            EventSchemas.of(rules.names, rules.schemas),
            rules.bounds,
            pseudonyms(rules.user_id_key, rules.user_id_epoch),
        )

    @property
    def hides_users(self) -> bool:
        """True if user ids are stored as pseudonyms only."""
        return self._pseudonyms.is_active

    def judge_all(
        self,
        events: Sequence[object],
        places: Sequence[EventPlace],
        batch: BatchContext,
    ) -> Judged:
        """Accept or reject each of *events*, which came from *places*."""
        judged = Judged(AcceptedEvents(batch.received, batch.sender), [])
        start = 0
        for names, count in _shapes_of(events):
            chosen = slice(start, start + count)
            start += count
            self._judge_alike(names, events[chosen], places[chosen], batch, judged)
        return judged

    def _judge_alike(
        self,
        names: tuple[str, ...],
        events: Sequence[Any],
        places: Sequence[EventPlace],
        batch: BatchContext,
        judged: Judged,
    ) -> None:
        """The same for events with the same fields: the unusual ones are singled out."""
        try:
            columns = self._accept_usual(names, events, places, batch)
        except (Unusual, EventRejected, TypeError, ValueError, OverflowError):
            pass  # TypeError: JSON that cannot be written, for one of many reasons.
        else:
            judged.accepted.extend(columns)
            return
        if len(events) == 1:
            judged.add(self.judge(events[0], places[0], batch))
            return
        half = len(events) // 2
        self._judge_alike(names, events[:half], places[:half], batch, judged)
        self._judge_alike(names, events[half:], places[half:], batch, judged)

    def judge(self, event: object, place: EventPlace, batch: BatchContext) -> Verdict:
        """Accept or reject one event, by checks in an order that says what is wrong."""
        try:
            if not isinstance(event, dict):
                raise EventRejected(
                    RejectionCode.NOT_AN_OBJECT, "an event must be a JSON object"
                )
            return self._accept(event, place, batch)
        except EventRejected as rejected:
            return self._reject(event, place, batch, rejected)

    def _accept_usual(
        self,
        names: tuple[str, ...],
        events: Sequence[SentEvent],
        places: Sequence[EventPlace],
        batch: BatchContext,
    ) -> dict[str, Sequence[Any]]:
        """The columns of events that have nothing unusual, in a fifth of the time.

        Raises Unusual, EventRejected, TypeError, ValueError or OverflowError if one of
        them needs a closer look.
        """
        shape = self._shapes.get(names) or self._learn(names)
        found = shape.texts(events, shape.name)
        if None in found:
            raise Unusual
        properties = shape.properties_of(events)
        if self._schemas.is_active:
            for name, values in zip(found, properties, strict=True):
                self._schemas.check(str(name), values)
        texts = encode_all(properties, MAX_EVENT_BYTES)
        claimed = shape.instants(events, shape.at)
        sent_at = self._sent_at_all(shape, events, batch)
        user_ids = shape.texts(events, shape.user_id)
        if batch.user is not None:
            user_ids = [batch.user] * len(events)
        apps = shape.texts(events, shape.app_id)
        sources = shape.texts(events, shape.source)
        begin, contents = encode_arrays(
            list(zip(apps, found, user_ids, claimed, sources, texts, strict=True))
        )
        batches, arrived, fallback_ids = EventPlaces.of(places).columns
        return {
            "event_id": _ids(shape.texts(events, shape.id), fallback_ids, batch),
            "app_id": apps,
            "name": found,
            "user_id": self._stored_users(user_ids, batch),
            "at": self._at_all(claimed, sent_at, arrived, batch),
            "source": sources,
            "properties": texts,
            "sent_at": sent_at,
            "content_hash": self._hash_all(contents, begin),
            "batch": batches,
        }

    def _stored_users(
        self, user_ids: Sequence[str | None], batch: BatchContext
    ) -> Sequence[str | None]:
        if not self._pseudonyms.is_active:
            return user_ids
        users = {user for user in user_ids if user is not None}
        stored = {user: self._stored_user(user, batch) for user in users}
        return [None if user is None else stored[user] for user in user_ids]

    def _sent_at_all(
        self, shape: EventShape, events: Sequence[SentEvent], batch: BatchContext
    ) -> list[int | None]:
        """When the client sent each event: as it says, or as the request does."""
        sent_at = shape.instants(events, shape.sent_at)
        if batch.sent_at is None:
            return sent_at
        common = clock.parse(batch.sent_at, "sentAt")
        return [common if each is None else each for each in sent_at]

    def _at_all(
        self,
        claimed: Sequence[int | None],
        sent_at: Sequence[int | None],
        arrived: Sequence[int],
        batch: BatchContext,
    ) -> list[int]:
        """When each event happened. Raises EventRejected if one is out of bounds."""
        if None not in claimed and sent_at.count(None) == len(sent_at):
            moments = cast("list[int]", claimed)
        else:
            moments = [
                came if claim is None else clock.corrected(claim, sent, came)
                for claim, sent, came in zip(claimed, sent_at, arrived, strict=True)
            ]
        self._bounds.check(min(moments), batch.received)
        self._bounds.check(max(moments), batch.received)
        return moments

    def _learn(self, names: tuple[str, ...]) -> EventShape:
        """Remember the fields of events with these *names*, of which few are in use."""
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        return self._shapes.setdefault(names, EventShape.of(names))

    def _accept(
        self, event: SentEvent, place: EventPlace, batch: BatchContext
    ) -> AcceptedLine:
        name = fields.name(event)
        event_id = _event_id(event, place, batch)
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
        at = self._at(claimed, sent_at, place, batch)
        content = to_json_text([app_id, name, user_id, claimed, source, encoded])
        return {
            "event_id": event_id,
            "app_id": app_id,
            "name": name,
            "user_id": user_id and self._stored_user(user_id, batch),
            "at": at,
            "source": source,
            "properties": encoded,
            "received_at": batch.received,
            "sender": batch.sender,
            "sent_at": sent_at,
            "content_hash": self._hash(content.encode()),
            "batch": place.batch,
        }

    def _stored_user(self, user_id: str, batch: BatchContext) -> str:
        return self._pseudonyms.of_user(user_id, batch.received_at)

    def _at(
        self,
        claimed: int | None,
        sent_at: int | None,
        place: EventPlace,
        batch: BatchContext,
    ) -> int:
        """When the event happened; when it arrived, if it does not say."""
        at = place.arrived
        if claimed is not None:
            at = clock.corrected(claimed, sent_at, place.arrived)
        self._bounds.check(at, batch.received)
        return at

    def _reject(
        self,
        event: object,
        place: EventPlace,
        batch: BatchContext,
        reason: EventRejected,
    ) -> RejectedLine:
        sent = event
        if isinstance(event, dict):
            whole = {**event, **_of_request(event, batch)}
            sent = self._pseudonyms.in_event(whole, fields.USER_ID, batch.received_at)
        raw = to_json_text(sent)
        event_id = _known_id(event, place)
        same = f"{event_id}:{reason.code}:{self._hash(to_json_text(event).encode())}"
        line: RejectedLine = {
            "rejection_id": same if event_id else new_id(batch.received),
            "event_id": event_id,
            "code": reason.code,
            "message": _printable(reason.message),
            "raw": raw[:RAW_CHARACTERS],
            "sender": batch.sender,
            "received_at": batch.received,
            "batch": place.batch,
        }
        return {**line, "schema": reason.schema} if reason.schema else line

    def _hash(self, content: bytes) -> int:
        """64 bits, signed. With a key, since user ids could be found by trying them."""
        (found,) = self._hash_all([content])
        return found

    def _hash_all(
        self, contents: Iterable[bytes], begin: bytes = b""
    ) -> tuple[int, ...]:
        """The hash of *begin* and each content, in half of the time of one by one."""
        common = self._fresh_hash.copy()
        common.update(begin)
        return hash_all(common, contents)


def _shapes_of(events: Sequence[Any]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The fields of the events, and how many in a row have just these.

    ``[{"a": 1}, {"a": 2}, {"b": 3}]`` has ``("a",)`` twice and then ``("b",)``.
    """
    if events and set(map(type, events)) == {dict}:
        first = tuple(events[0])
        # No name is twice in an event, so each has just these if all together do.
        if list(chain.from_iterable(events)) == list(first) * len(events):
            yield first, len(events)
            return
    names = [tuple(each) if type(each) is dict else () for each in events]
    for shape, group in groupby(names):
        yield shape, sum(1 for _ in group)


def _ids(
    found: Sequence[str | None],
    fallback_ids: Sequence[str | None],
    batch: BatchContext,
) -> Sequence[str | None]:
    """The ids of events: their own, or those of their places, or new ones."""
    if None not in found:
        return found
    return [
        own or fallback_ids[index] or new_id(batch.received)
        for index, own in enumerate(found)
    ]


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


def _event_id(event: SentEvent, place: EventPlace, batch: BatchContext) -> str:
    """The client's id, or that of its place, or a new one."""
    found = fields.text(event, fields.ID, RejectionCode.ID)
    return found or place.fallback_id or new_id(batch.received)


def _known_id(event: object, place: EventPlace) -> str | None:
    """The id by which a repetition of a rejected event is recognised, if any."""
    try:
        found = (
            fields.text(event, fields.ID, RejectionCode.ID)
            if isinstance(event, dict)
            else None
        )
    except EventRejected:
        found = None
    return (found and _printable(found)) or place.fallback_id


def _of_request(event: Mapping[str, Any], batch: BatchContext) -> dict[str, object]:
    """What *event* takes over from its request: without it, it could not be replayed."""
    found: dict[str, object] = {}
    if batch.user is not None and fields.first(event, fields.SIGNED_IN) is None:
        found["user_id"] = batch.user
    if batch.sent_at is not None and fields.first(event, fields.SENT_AT) is None:
        found["sent_at"] = batch.sent_at
    return found


def _sent_at(event: SentEvent, batch: BatchContext) -> int | None:
    """When the client sent the event, by its own clock."""
    sent = fields.first(event, fields.SENT_AT)
    sent = batch.sent_at if sent is None else sent
    return None if sent is None else clock.parse(sent, "sentAt")


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
