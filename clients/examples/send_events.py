"""Send events by httpx, again until the collector has answered for them.

COLLECTOR_URL and EVENTS_TOKEN are its address and a token.
"""

import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30


def event(name: str, user_id: str | None = None, **properties: Any) -> dict[str, Any]:
    """An event of this moment. Its id makes sending it again harmless."""
    return {
        "id": str(uuid.uuid4()),
        "name": name,
        "user_id": user_id,
        "at": datetime.now(UTC).isoformat(),
        "properties": properties,
    }


def send(client: httpx.Client, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Send *events*, at most 1,000; return the receipt.

    Repeats after 429, 5xx and network failures. Raises HTTPStatusError for other errors,
    which a repetition would not cure.
    """
    body = list(events)
    pause = FIRST_PAUSE_SECONDS
    while True:
        answer = _post(client, body)
        if (
            answer is not None
            and answer.status_code != 429
            and not answer.is_server_error
        ):
            answer.raise_for_status()
            receipt: dict[str, Any] = answer.json()
            return receipt
        told = float(answer.headers.get("Retry-After", 0)) if answer is not None else 0
        time.sleep(max(pause, told))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _post(client: httpx.Client, body: list[Mapping[str, Any]]) -> httpx.Response | None:
    """The answer, or None without one."""
    try:
        return client.post("/events", json=body)
    except httpx.TransportError:
        return None


def main() -> None:
    """Send two events, and print the receipt."""
    headers = {"Authorization": f"Bearer {os.environ['EVENTS_TOKEN']}"}
    with httpx.Client(base_url=os.environ["COLLECTOR_URL"], headers=headers) as client:
        events = [event("page_view", "u1"), event("sign_up", plan="free")]
        sys.stdout.write(f"{send(client, events)}\n")


if __name__ == "__main__":
    main()
