"""Plans and response models agree, and plans stay pure."""

from datetime import date, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin

import polars as pl
import pytest
from pydantic import BaseModel

from calculations.analytics import analytics
from calculations.daily import daily
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import room_stats
from tests.calculations.tables import EMPTY, period, tables

given = tables(EMPTY)
PLANS: list[tuple[type[BaseModel], pl.LazyFrame]] = [
    (Analytics, analytics(given, period())),
    (RoomStats, room_stats(given.votes, 1, period())),
    (Daily, daily(given.votes, given.page_views, period())),
]


@pytest.mark.parametrize(("model", "plan"), PLANS)
def test_the_response_model_is_the_plans_schema(
    model: type[BaseModel], plan: pl.LazyFrame
) -> None:
    """Same fields, kind for kind, down to the last list, without any data."""
    fits(model, dict(plan.collect_schema()))


@pytest.mark.parametrize(("model", "plan"), PLANS)
def test_a_plan_holds_no_python_function(
    model: type[BaseModel],  # noqa: ARG001
    plan: pl.LazyFrame,
) -> None:
    """So that any engine can run it."""
    assert "python" not in plan.explain(optimized=False).lower()


def fits(model: type[BaseModel], columns: dict[str, Any]) -> None:
    assert set(columns) == set(model.model_fields)
    for name, field in model.model_fields.items():
        kind(field.annotation, columns[name], f"{model.__name__}.{name}")


def kind(annotation: Any, dtype: pl.DataType, where: str) -> None:
    """Assert that a column of *dtype* reads as *annotation*."""
    if hasattr(annotation, "__value__"):  # a named type
        annotation = get_args(annotation.__value__)[0]
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        annotation = get_args(annotation)[0]
        kind(annotation, dtype, where)
    elif get_origin(annotation) is dict:
        assert isinstance(dtype, pl.List), where
        inner = dtype.inner
        assert isinstance(inner, pl.Struct), where
        assert [field.name for field in inner.fields] == ["key", "count"], where
        key = inner.fields[0].dtype
        assert (key == pl.String) == (get_args(annotation)[0] is str), where
    elif get_origin(annotation) is list:
        assert isinstance(dtype, pl.List), where
        assert isinstance(dtype.inner, pl.Struct), where
        fits(get_args(annotation)[0], dtype.inner.to_schema())
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        assert isinstance(dtype, pl.Struct), where
        fits(annotation, dtype.to_schema())
    else:
        expected = {int: dtype.is_integer(), float: dtype.is_float()}
        expected |= {str: dtype == pl.String, date: dtype == pl.Date}
        expected |= {datetime: dtype == pl.Datetime("us", "UTC")}
        assert expected[annotation], f"{where} is {dtype}"
