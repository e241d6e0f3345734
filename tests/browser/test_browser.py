"""What the other tests rely on: nothing that goes wrong in the browser stays unnoticed."""

import pytest

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.external


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost", "example.org"])
def test_a_request_to_another_host_fails_and_is_a_problem(
    visitor: Visitor, host: str
) -> None:
    """By name and by address; the rules of the system's resolver do not matter."""
    page = visitor.open_page()
    assert page.evaluate(f"fetch('http://{host}/').then(() => 1, () => 0)") == 0
    visitor.expect_problem("ERR_NAME_NOT_RESOLVED")


def test_an_error_of_a_script_is_a_problem(visitor: Visitor) -> None:
    """Also one that nobody waits for."""
    page = visitor.open_page()
    with page.expect_event("pageerror"):
        page.evaluate("setTimeout(() => { throw new Error('unexpected'); })")
    visitor.expect_problem("unexpected")
