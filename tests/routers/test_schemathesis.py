"""Every response conforms to the OpenAPI document, whatever the request."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from requests import Request
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from main import app as documented
from routers.middleware import guesses
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.effort import examples
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish

TIMEOUT_SECONDS = 120
"""For one response; the default of ten is too short for an overloaded machine."""

schema = schemathesis.openapi.from_dict(documented.openapi())


# Not of the module: its tests would then run in one process.
@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server with the sample and without a rate limit."""
    data_dir = tmp_path_factory.mktemp("schema") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=0)
    with served(create_fixed_app(settings)) as url:
        yield url


@pytest.fixture
def _wrong_tokens_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is also sent with wrong tokens, which would soon be too many."""
    monkeypatch.setattr(guesses, "MOST_PER_ADDRESS", 10**9)
    monkeypatch.setattr(guesses, "MOST_IN_ALL", 10**9)


@schema.parametrize()
@pytest.mark.usefixtures("_wrong_tokens_are_not_limited")
@hypothesis_settings(
    max_examples=examples(10, 300),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_response_conforms_to_the_document(case: Case[Any], address: str) -> None:
    """No 5xx; every status, content type, header and body is as documented."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    # A schema cannot express all rules, such as which time zones exist or that a range
    # ends after it begins: data that conforms to the schema may be refused with 422.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    if not _is_sent_completely(case, address):
        excluded.append(negative_data_rejection)
    case.call_and_validate(
        base_url=address,
        headers=token,
        excluded_checks=excluded,
        timeout=TIMEOUT_SECONDS,
    )


def _is_sent_completely(case: Case[Any], address: str) -> bool:
    """True if the URL contains all parameters of *case*.

    An empty list, for example, leaves no trace in a URL, so the request is valid though
    the case is not.
    """
    sent = Request(**case.as_transport_kwargs(base_url=address)).prepare()
    query = parse_qsl(urlsplit(str(sent.url)).query, keep_blank_values=True)
    return {name for name, _ in query} >= set(case.query or {})
