"""One request with events: check everything, then store it, then answer."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from collector.app_state import Intake
from collector.bodies import MalformedBody, SentBatch
from events import fields
from events.ids import new_id, repeatable_id
from events.instants import microseconds
from events.lines import RejectedLine
from events.verdicts import BatchContext, EventPlaces, Judged
from util.access import Caller
from util.telemetry import traceparent

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 200
MAX_BODY_BYTES: Final = 2**20


class ForeignUser(Exception):
    """A user sends events of another user."""


async def receive(
    request: Request, parse: Callable[[bytes], SentBatch]
) -> dict[str, Any]:
    """Take the events of *request*, whose body *parse* reads; return a Receipt's members.

    Nothing is stored unless this returns: then all of it is. Raises NotAuthenticated,
    NotAllowed, RateLimited, SpoolUnavailable, MalformedBody and ForeignUser.
    """
    intake: Intake = request.app.state.intake
    # The first of each; a view of Starlette's searches all of them again and again.
    headers = dict(reversed(request.scope["headers"]))
    caller = intake.callers.identify(
        headers.get(b"authorization", b"").decode("latin-1"),
        headers.get(b"x-api-key", b"").decode("latin-1"),
    )
    intake.rates.count(caller.name)
    intake.spool.require_room()
    sent = parse(await read_body(request))
    if len(sent.events) > intake.max_batch_size:
        raise MalformedBody(
            413, f"batch too large: at most {intake.max_batch_size} events"
        )
    _require_own_events(caller, sent.events)
    batch = _context(intake, caller, sent)
    batch_id = new_id(batch.received)
    key = headers.get(IDEMPOTENCY_KEY.lower().encode())
    places = _places(key, batch_id, batch, len(sent.events))
    judged = intake.judge.judge_all(sent.events, places, batch)
    if sent.events:
        await intake.spool.append(judged.encode(traceparent()))
    _count(intake, judged)
    return _receipt(batch_id, sent, judged)


async def read_body(request: Request) -> bytes:
    """The body, of which no more than MAX_BODY_BYTES are read. Raises MalformedBody."""
    encodings = (v for k, v in request.scope["headers"] if k == b"content-encoding")
    if next(encodings, b"identity").strip().lower() != b"identity":
        raise MalformedBody(415, "Send the body without Content-Encoding")
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise MalformedBody(
                413, f"body too large: at most {MAX_BODY_BYTES:,} bytes"
            )
        if not message.get("more_body", False):
            return bytes(body)


def _require_own_events(caller: Caller, events: Sequence[object]) -> None:
    """Raise ForeignUser if *caller* is a user and an event is of another one."""
    if caller.user is None:
        return
    for event in events:
        if isinstance(event, dict):
            named = fields.first(event, fields.SIGNED_IN)
            if named is not None and named != caller.user:
                raise ForeignUser("The token allows events of its own user only")


def _context(intake: Intake, caller: Caller, sent: SentBatch) -> BatchContext:
    received_at = datetime.now(UTC)
    sender = caller.name
    if caller.user is not None:
        sender = intake.pseudonyms.of_user(caller.user, received_at)
    return BatchContext(
        sender=sender,
        user=caller.user,
        received_at=received_at,
        received=microseconds(received_at),
        sent_at=sent.sent_at,
    )


def _places(
    sent_key: bytes | None, batch_id: str, batch: BatchContext, count: int
) -> EventPlaces:
    """The place of each event: the same for all, unless they have a key."""
    batches, arrived = [batch_id] * count, [batch.received] * count
    if sent_key is None:
        return EventPlaces(batches, arrived, [None] * count)
    key = sent_key.decode("latin-1")
    if not 0 < len(key) <= LONGEST_KEY:
        raise MalformedBody(
            400, f"{IDEMPOTENCY_KEY} must have 1 to {LONGEST_KEY} characters"
        )
    ids = [repeatable_id(batch.sender, key, index) for index in range(count)]
    return EventPlaces(batches, arrived, ids)


def _count(intake: Intake, judged: Judged) -> None:
    for _, verdict in judged.rejected:
        intake.metrics.rejected.labels(verdict["code"]).inc()
    intake.metrics.accepted.inc(len(judged.accepted))


def _receipt(batch_id: str, sent: SentBatch, judged: Judged) -> dict[str, Any]:
    """The members of a Receipt that are not null, in its order."""
    receipt: dict[str, Any] = {
        "accepted": len(judged.accepted),
        "rejected": [_rejected(index, verdict) for index, verdict in judged.rejected],
        "batch": batch_id,
    }
    if sent.is_single:
        event_id = judged.lines()[0]["event_id"]
        receipt["status"] = "rejected" if judged.rejected else "accepted"
        if event_id is not None:
            receipt["event_id"] = event_id
    return receipt


def _rejected(index: int, verdict: RejectedLine) -> dict[str, Any]:
    """The same of a RejectedEvent."""
    given = {"id": verdict["event_id"]} if verdict["event_id"] is not None else {}
    reason = {"code": verdict["code"], "message": verdict["message"]}
    return {"index": index, **given, **reason}
