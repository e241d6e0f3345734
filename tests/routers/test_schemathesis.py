"""Every response conforms to the OpenAPI document, whatever the request."""

import math
from collections.abc import Callable, Iterator, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, settings
from requests import Request, Session

from main import app as documented
from routers.middleware import guesses
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.effort import by_effort, examples, fewer
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish

if TYPE_CHECKING:  # in every process that collects the tests, it would cost seconds
    from schemathesis import Case
    from schemathesis.checks import CheckFunction
    from schemathesis.schemas import APIOperation

TIMEOUT_SECONDS = 120
"""For one response; the default of ten is too short for an overloaded machine."""

WITHOUT_TOKEN = examples(3, 10_000)
"""Cases of an operation that are also sent with a wrong token and with none."""

BOUNDARIES = by_effort(4, 40, 10_000)
"""Boundary values of an operation's parameters, each in a request of its own."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server with the sample and without a rate limit."""
    data_dir = tmp_path_factory.mktemp("schema") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=0)
    with served(create_fixed_app(settings)) as url:
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Connections that stay open; without cookies, proxies and .netrc."""
    with Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield session


@pytest.fixture
def _wrong_tokens_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is also sent with wrong tokens, which would soon be too many."""
    monkeypatch.setattr(guesses, "MOST_PER_ADDRESS", 10**9)
    monkeypatch.setattr(guesses, "MOST_IN_ALL", 10**9)


@pytest.mark.usefixtures("_wrong_tokens_are_not_limited")
def test_every_response_conforms_to_the_document(
    address: str, session: Session, subtests: pytest.Subtests
) -> None:
    """No 5xx; every status, content type, header and body is as documented."""
    import schemathesis

    document = schemathesis.openapi.from_dict(documented.openapi())
    operations = fewer(list(document.get_all_operations()), 10)
    for number, found in enumerate(operations):
        operation = found.ok()
        with subtests.test(operation.label):
            _generated(operation, _Conformance(address, session).check, number)()


def _generated(
    operation: "APIOperation", check: "Callable[[Case[Any]], None]", number: int
) -> Callable[[], None]:
    """A test that calls *check* with examples, boundary values and random cases.

    Most parameters are those of many operations: each gets some of the values, by its
    *number*.

    Schemathesis' own plugin for pytest computes them in each process that collects.
    """
    from schemathesis.generation.hypothesis import builder

    def test(case: "Case[Any]") -> None:
        check(case)

    test = settings(
        max_examples=by_effort(2, 10, 300),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(test)
    config = builder.HypothesisTestConfig(
        project=operation.schema.config, modes=list(builder.HypothesisTestMode)
    )
    generated: Any = builder.create_test(
        operation=operation, test_func=test, config=config
    )
    boundaries = generated.hypothesis_explicit_examples
    generated.hypothesis_explicit_examples = every_nth(boundaries, BOUNDARIES, number)
    return generated  # type: ignore[no-any-return]


def every_nth[T](items: Sequence[T], most: int, first: int) -> Sequence[T]:
    """About *most* of *items*, each of which some value of *first* selects."""
    step = math.ceil(len(items) / most) or 1
    return items[first % step :: step]


def test_operations_share_the_boundary_values() -> None:
    """Each is sent to one of as many operations as there are."""
    items = range(100)
    for most in (1, 7, 30, 99, 100, 1_000):
        chosen = [every_nth(items, most, number) for number in range(100)]
        assert {item for some in chosen for item in some} == {*items}
        assert all(len(some) <= most for some in chosen)
    assert every_nth([], 5, 3) == []


class _Conformance:
    """Sends the cases of one operation, and checks the responses."""

    def __init__(self, address: str, session: Session) -> None:
        self._address = address
        self._session = session
        self._count = 0

    def check(self, case: "Case[Any]") -> None:
        """The status, content type, headers and body are as documented."""
        self._count += 1
        case.call_and_validate(
            base_url=self._address,
            session=self._session,
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=self._excluded(case),
            timeout=TIMEOUT_SECONDS,
        )

    def _excluded(self, case: "Case[Any]") -> "list[CheckFunction]":
        from schemathesis.specs.openapi import checks

        # A schema cannot express all rules, such as which time zones exist or that a
        # range ends after it begins: data that conforms to it may be refused with 422.
        excluded: list[CheckFunction] = [checks.positive_data_acceptance]
        if not _is_sent_completely(case, self._address):
            excluded.append(checks.negative_data_rejection)
        if self._count > WITHOUT_TOKEN:
            excluded.append(checks.ignored_auth)
        return excluded


def _is_sent_completely(case: "Case[Any]", address: str) -> bool:
    """True if the URL contains all parameters of *case*.

    An empty list, for example, leaves no trace in a URL, so the request is valid though
    the case is not.
    """
    sent = Request(**case.as_transport_kwargs(base_url=address)).prepare()
    query = parse_qsl(urlsplit(str(sent.url)).query, keep_blank_values=True)
    return {name for name, _ in query} >= set(case.query or {})
