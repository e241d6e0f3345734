"""Client of the e-mail service, which receives the daily figures."""

import json
from datetime import timedelta
from typing import Final

from util.errors import DeliveryError, DeliveryRefused, NotDelivered
from util.json_types import JsonMapping

PORT: Final = 3010
PATH: Final = "/fpp-daily-analytics"
TIMEOUT: Final = timedelta(seconds=30)


def daily_url(base_url: str) -> str:
    """Return the URL to post to: *base_url* if it has a scheme, or built for a host."""
    base_url = base_url.strip()
    return base_url if "://" in base_url else f"http://{base_url}:{PORT}{PATH}"


def encode_daily(figures: JsonMapping) -> bytes:
    """The body of the request that posts *figures*, as JSON."""
    return json.dumps(dict(figures), separators=(",", ":")).encode()


def send_daily(
    base_url: str,
    key: str,
    body: bytes,
    idempotency_key: str,
    *,
    timeout: timedelta = TIMEOUT,
) -> None:
    """Post *body*, which is JSON, to the e-mail service, authorized by *key*.

    A service that knows *idempotency_key* can tell a repeated request from a new one.

    Raises NotDelivered if the service cannot be reached, DeliveryRefused if it answers
    anything but 2xx, and another DeliveryError if it does not answer within *timeout*.
    Each is a sentence without the key or the URL.
    """
    # Most deployments never send, and httpx takes a tenth of the API's start.
    from util import bounded_http  # before httpx: without its command

    # isort: split
    import httpx

    seconds = timeout.total_seconds()
    try:
        answer = bounded_http.request(
            "POST",
            daily_url(base_url),
            content=body,
            # As bytes, since httpx refuses text that is not ASCII.
            headers={
                b"Authorization": b"Bearer " + key.strip().encode(),
                b"Content-Type": b"application/json",
                b"Idempotency-Key": idempotency_key.encode(),
            },
            timeout=timeout,
            deadline=timeout,
        )
    except httpx.ConnectError:
        raise NotDelivered("The e-mail service cannot be reached") from None
    except httpx.ConnectTimeout:
        raise NotDelivered(
            f"There was no connection to the e-mail service within {seconds:g} s"
        ) from None
    except httpx.TimeoutException:
        raise DeliveryError(
            f"The e-mail service did not answer within {seconds:g} s"
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise NotDelivered(
            "BEA_BASE_URL is neither a host name nor an http(s) address"
        ) from None
    except httpx.LocalProtocolError:
        raise NotDelivered(
            "The request to the e-mail service cannot be sent: check BEA_SECRET_KEY"
        ) from None
    except httpx.HTTPError:
        raise DeliveryError("The e-mail service broke off the connection") from None
    if not answer.is_success:
        raise DeliveryRefused(f"The e-mail service answered {answer.status_code}")
