"""What people build instead of the collector: FastAPI, pydantic and an INSERT.

The same batches, in one transaction each, into one PostgreSQL table with the id as its
key; an event whose id is stored is left out. PLAIN_URL names the database.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Final

import psycopg
from fastapi import FastAPI, Header, HTTPException
from psycopg.types.json import Jsonb
from pydantic import BaseModel

CONNECTIONS: Final = 4

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS events (event_id text PRIMARY KEY, app_id text, "
    "name text NOT NULL, user_id text, at timestamptz, properties jsonb, "
    "received_at timestamptz DEFAULT now())"
)
INSERT: Final = (
    "INSERT INTO events (event_id, app_id, name, user_id, at, properties) "
    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)


class PlainEvent(BaseModel):
    """An event."""

    event_id: str
    name: str
    user_id: str | None = None
    timestamp: datetime
    app_id: str | None = None
    properties: dict[str, Any]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    import asyncio

    pool: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        pool.put_nowait(await psycopg.AsyncConnection.connect(os.environ["PLAIN_URL"]))
    app.state.pool = pool
    yield
    while not pool.empty():
        await pool.get_nowait().close()


app = FastAPI(lifespan=_lifespan)


@app.get("/health")
async def get_health() -> dict[str, str]:
    """200."""
    return {"status": "ok"}


@app.post("/events", status_code=202)
async def post_events(
    events: list[PlainEvent], authorization: Annotated[str, Header()]
) -> dict[str, int]:
    """Insert all events, or none."""
    if authorization != f"Bearer {os.environ['INGEST_TOKENS']}":
        raise HTTPException(401)
    rows = [
        (e.event_id, e.app_id, e.name, e.user_id, e.timestamp, Jsonb(e.properties))
        for e in events
    ]
    connection = await app.state.pool.get()
    try:
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(INSERT, rows)
    finally:
        app.state.pool.put_nowait(connection)
    return {"accepted": len(rows)}
