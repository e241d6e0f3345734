"""The answers of the collector, and the requests for its OpenAPI document."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from events.codes import RejectionCode


class RejectedEvent(BaseModel):
    """An event that was rejected. It is stored as a dead letter."""

    index: int = Field(description="Its place in the request, from 0.")
    id: str | None = Field(description="The id that the client gave it, if any.")
    code: RejectionCode
    message: str = Field(description="What to change.")


class Receipt(BaseModel):
    """What became of a request's events; all of them are on the disk."""

    accepted: int = Field(description="How many were accepted; repetitions, too.")
    rejected: list[RejectedEvent]
    batch: str = Field(description="Id of the request, as it is stored.")
    status: Literal["accepted", "rejected"] | None = Field(
        None, description="Only if one event was sent that is not in a list."
    )
    event_id: str | None = Field(
        None, description="Its id; only if one event was sent that is not in a list."
    )


class IngestReceipt(Receipt):
    """The same, for clients of the AI platform."""

    ingested: int = Field(description="How many events were accepted.")


class SegmentReceipt(Receipt):
    """The same, for Segment's libraries."""

    success: Literal[True] = True


class SentEvent(BaseModel):
    """An event. Most fields have further names, see docs/events.md."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(
        min_length=1,
        max_length=200,
        description="What happened; also `event_name`, `event`, `type`.",
        examples=["page_view"],
    )
    event_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Makes a repetition harmless; a UUID of version 7 is best. Also "
        "`id`, `messageId`.",
    )
    user_id: str | None = Field(
        None, min_length=1, max_length=200, description="Also `userId`."
    )
    at: datetime | float | None = Field(
        None,
        description="When it happened: ISO 8601 (without an offset in UTC), or seconds "
        "or milliseconds since 1970. Also `timestamp`, `ts`. By default now.",
    )
    app_id: str | None = Field(None, min_length=1, max_length=200)
    source: str | None = Field(
        None, min_length=1, max_length=200, description="Also `src`."
    )
    properties: dict[str, Any] | None = Field(
        None, description="At most 32 KiB as JSON. Also `payload`, `metadata`."
    )


class AnalyticsEvent(BaseModel):
    """An event of the AI platform's clients."""

    ts: datetime | float
    user_id: str
    type: str
    src: str | None = None
    payload: dict[str, Any]


class SegmentMessage(BaseModel):
    """A message of Segment's libraries; its further fields are not stored."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["track"])
    event: str | None = None
    user_id: str | None = Field(None, alias="userId")
    message_id: str | None = Field(None, alias="messageId")
    timestamp: datetime | None = None
    properties: dict[str, Any] | None = None


class SegmentBatch(BaseModel):
    """What Segment's libraries send."""

    model_config = ConfigDict(extra="allow")

    batch: list[SegmentMessage]
    sent_at: datetime | None = Field(None, alias="sentAt")


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service: str = Field(
        "collector", description="SERVICE_NAME of the settings.", examples=["collector"]
    )


class Readiness(BaseModel):
    """Whether events are taken now."""

    status: Literal["ok", "unavailable"]
    detail: str | None = Field(None, description="Why not.")
