"""One request with events: check everything, then store it, then answer."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from fastapi import Request
from pydantic_core import to_json

from collector.app_state import Intake
from collector.bodies import MalformedBody, SentBatch
from collector.callers import Caller
from collector.models import Receipt, RejectedEvent
from events import fields
from events.ids import new_id
from events.instants import microseconds
from events.verdicts import BatchContext, Verdict

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 200
MAX_BODY_BYTES: Final = 2**20


class ForeignUser(Exception):
    """A user sends events of another user."""


async def receive(request: Request, parse: Callable[[bytes], SentBatch]) -> Receipt:
    """Take the events of *request*, whose body *parse* reads.

    Nothing is stored unless this returns: then all of it is. Raises NotAuthenticated,
    RateLimited, SpoolUnavailable, MalformedBody and ForeignUser.
    """
    intake: Intake = request.app.state.intake
    caller = intake.callers.identify(request.headers.get("authorization", ""))
    intake.rates.count(caller.name)
    intake.spool.require_room()
    _require_plain(request)
    sent = parse(await _read(request))
    if len(sent.events) > intake.max_batch_size:
        raise MalformedBody(
            413, f"batch too large: at most {intake.max_batch_size} events"
        )
    _require_own_events(caller, sent.events)
    batch = _context(request, intake, caller, sent)
    verdicts = [
        intake.judge.judge(event, index, batch)
        for index, event in enumerate(sent.events)
    ]
    if verdicts:
        await intake.spool.append(b"".join(to_json(v) + b"\n" for v in verdicts))
    _count(intake, verdicts)
    return _receipt(batch, sent, verdicts)


def _require_plain(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise MalformedBody(415, "Send the body without Content-Encoding")


async def _read(request: Request) -> bytes:
    """The body, of which no more than MAX_BODY_BYTES are read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise MalformedBody(
                413, f"body too large: at most {MAX_BODY_BYTES:,} bytes"
            )
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


def _context(
    request: Request, intake: Intake, caller: Caller, sent: SentBatch
) -> BatchContext:
    received_at = datetime.now(UTC)
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise MalformedBody(
            400, f"{IDEMPOTENCY_KEY} must have 1 to {LONGEST_KEY} characters"
        )
    sender = caller.name
    if caller.user is not None:
        sender = intake.pseudonyms.of_user(caller.user, received_at)
    received = microseconds(received_at)
    return BatchContext(
        id=new_id(received),
        sender=sender,
        user=caller.user,
        received_at=received_at,
        received=received,
        arrived=received,
        sent_at=sent.sent_at,
        idempotency_key=key,
    )


def _count(intake: Intake, verdicts: Sequence[Verdict]) -> None:
    accepted = 0
    for verdict in verdicts:
        if "code" in verdict:
            intake.metrics.rejected.labels(verdict["code"]).inc()
        else:
            accepted += 1
    intake.metrics.accepted.inc(accepted)


def _receipt(
    batch: BatchContext, sent: SentBatch, verdicts: Sequence[Verdict]
) -> Receipt:
    rejected = [
        RejectedEvent(
            index=index,
            id=verdict["event_id"],
            code=verdict["code"],
            message=verdict["message"],
        )
        for index, verdict in enumerate(verdicts)
        if "code" in verdict
    ]
    receipt = Receipt(
        accepted=len(verdicts) - len(rejected), rejected=rejected, batch=batch.id
    )
    if sent.is_single:
        receipt.status = "rejected" if rejected else "accepted"
        receipt.event_id = verdicts[0]["event_id"]
    return receipt
