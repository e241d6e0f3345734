"""What SQL files add to the OpenAPI document."""

import re

import pytest

from routers.views.documents import _parameter
from sqlfiles.definition import Parameter, ParameterType


@pytest.mark.parametrize("kind", ParameterType)
def test_every_type_of_parameter_is_described(kind: ParameterType) -> None:
    """Each has a schema."""
    described = _parameter(Parameter("p", kind), in_path=False)
    assert described["schema"]["type"] in ("string", "integer", "number", "boolean")


@pytest.mark.parametrize(
    ("text", "is_duration"), [("30m", True), ("7d", True), ("0h", False), ("7", False)]
)
def test_durations_are_described_as_they_are_parsed(
    text: str, is_duration: bool
) -> None:
    """By a pattern."""
    parameter = Parameter("window", ParameterType.DURATION)
    pattern = _parameter(parameter, in_path=False)["schema"]["pattern"]
    assert bool(re.search(pattern, text)) == is_duration
    if is_duration:
        assert parameter.parse(text) == text
    else:
        with pytest.raises(ValueError, match="window must be a duration"):
            parameter.parse(text)
