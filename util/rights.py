"""Rights of callers: what a token of each setting and a role of a JWT allow."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Read statistics, tables, reports and the state of the sync."""
    METRICS = "metrics"
    """Read the metrics of the API."""
    DELIVER = "deliver"
    """Send the figures of the day to the e-mail service."""
    QUERY = "query"
    """Send SQL."""
    INGEST = "ingest"
    """Send events: those of the caller's own, unless it has the next right as well."""
    INGEST_FOR_ALL = "ingest for all"
    """Send events of any user."""
    TAKE = "take"
    """Take events out of the spool of a collector, as the updater does."""


API_RIGHTS: Final = frozenset({Right.READ, Right.METRICS, Right.DELIVER, Right.QUERY})
"""What the API offers. A token without any of them is unknown there."""

SENDER_RIGHTS: Final = frozenset({Right.INGEST, Right.INGEST_FOR_ALL})
"""What a service that sends events may do."""

COLLECTOR_RIGHTS: Final = SENDER_RIGHTS | {Right.TAKE}
"""What the collector offers."""

TOKEN_RIGHTS: Final[Mapping[str, frozenset[Right]]] = {
    "analytics_secret_token": frozenset({Right.READ, Right.METRICS, Right.DELIVER}),
    "analytics_viewer_tokens": frozenset({Right.READ}),
    # SQL reads all that the other routes do.
    "sql_tokens": frozenset({Right.READ, Right.QUERY}),
    "ingest_tokens": SENDER_RIGHTS,
    "spool_token": frozenset({Right.TAKE}),
}
"""Setting with tokens -> what they allow. Of equal tokens, the first counts."""

ROLE_RIGHTS: Final[Mapping[str, frozenset[Right]]] = {
    "jwt_read_roles": frozenset({Right.READ}),
    "jwt_query_roles": frozenset({Right.READ, Right.QUERY}),
    "jwt_service_roles": SENDER_RIGHTS,
}
"""Setting with roles of JWTs -> what each role allows."""

EVERY_JWT: Final = frozenset({Right.INGEST})
"""What a valid JWT allows without any role."""

SIGNED_RIGHTS: Final = frozenset({Right.READ})
"""What a session or a link keeps of the rights of the token that signed it."""
