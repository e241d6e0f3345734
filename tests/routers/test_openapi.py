"""OpenAPI document: typed, described, and true for every combination of parameters."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from routers.formats.media import TableFormat, media_type
from tests.routers.conftest import client_of, make_settings
from util.problems import PROBLEM_JSON

PUBLIC = {"/health", "/v1/health"}

SCHEMAS = {
    "Analytics",
    "AnalyticsAnswer",
    "Behaviour",
    "BreakdownAnswer",
    "BreakdownOrder",
    "BreakdownRow",
    "City",
    "Cohort",
    "CohortOf",
    "Daily",
    "DailyAnswer",
    "DeadLetter",
    "DeadLetters",
    "Dimension",
    "Error",
    "FreshnessHealth",
    "EventsHealth",
    "Health",
    "HealthComponents",
    "HealthStatus",
    "HistoricalRow",
    "Interval",
    "InvalidParameter",
    "LinkAnswer",
    "LocationAndUserAgent",
    "ParquetFilesHealth",
    "Problem",
    "QueryCatalogue",
    "QueryEcho",
    "QueryLimits",
    "QueryTable",
    "Region",
    "ReoccurringRow",
    "RetentionAnswer",
    "Right",
    "RoomAgreement",
    "RoomAnswer",
    "RoomDetails",
    "RoomOrder",
    "RoomPace",
    "RoomRow",
    "RoomSeriesRow",
    "RoomState",
    "RoomStats",
    "RoomStatus",
    "RoomsAnswer",
    "SessionAnswer",
    "JobState",
    "MetricsState",
    "Scheduler",
    "StorageHealth",
    "SyncRun",
    "SnapshotEntry",
    "SnapshotList",
    "SyncRuns",
    "SyncTable",
    "SyncViewRun",
    "SyncViewRuns",
    "TableFormat",
    "TemplateRequest",
    "Traffic",
    "ViewColumn",
    "ViewDescription",
    "ViewError",
    "ViewFilter",
    "ViewLimit",
    "ViewParameter",
    "ViewsAnswer",
    "Votes",
    # of /v1
    "AudienceStatistics",
    "BehaviourStatistics",
    "HealthComponentsInBytes",
    "HealthInBytes",
    "HistoryRow",
    "NamedCount",
    "ReturningRow",
    "RoomStatistics",
    "RoomStatisticsAnswer",
    "Statistics",
    "StatisticsAnswer",
    "StorageBytesHealth",
    "TrafficStatistics",
    "ValueCount",
    "VoteStatistics",
}
"""Generated clients have a class per schema, so a rename breaks their callers."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document as served, which takes half a second; no test changes it."""
    settings = make_settings(data_dir=tmp_path_factory.mktemp("document") / "data")
    with client_of(settings) as client:
        found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def described(document: dict[str, Any], schema: str, field: str) -> str:
    """The description of one field of a schema."""
    fields = document["components"]["schemas"][schema]["properties"]
    return str(fields[field]["description"])


def parameter(document: dict[str, Any], path: str, name: str) -> str:
    """The description of one parameter of a route."""
    listed = document["paths"][path]["get"]["parameters"]
    (found,) = (each for each in listed if each["name"] == name)
    return str(found["description"])


def texts(value: Any) -> Iterator[str]:
    """Every description below *value*."""
    if isinstance(value, dict):
        if isinstance(value.get("description"), str):
            yield value["description"]
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_the_schemas_are_exactly_these(document: dict[str, Any]) -> None:
    """Schema names are part of the API; type aliases must not appear among them."""
    assert set(document["components"]["schemas"]) == SCHEMAS


def test_operations_are_named_like_their_handlers(document: dict[str, Any]) -> None:
    """Generated clients have a method per operation."""
    ids = {
        path: next(iter(route.values()))["operationId"]
        for path, route in document["paths"].items()
    }
    assert ids == {
        "/": "get_analytics",
        "/daily-analytics": "get_daily_analytics",
        "/daily-analytics.{extension}": "get_daily_analytics_file",
        "/room/{room_id}/stats": "get_room_stats",
        "/rooms": "get_rooms",
        "/rooms/{room_id}": "get_room",
        "/room/{room_id}/stats.{extension}": "get_room_stats_file",
        "/historical": "get_historical",
        "/historical.{extension}": "get_historical_file",
        "/reoccurring": "get_reoccurring",
        "/reoccurring.{extension}": "get_reoccurring_file",
        "/breakdown/{dimension}.{extension}": "get_breakdown_file",
        "/historical.csv": "get_historical_csv",
        "/reoccurring.csv": "get_reoccurring_csv",
        "/breakdown/{dimension}.csv": "get_breakdown_csv",
        "/breakdown/{dimension}": "get_breakdown",
        "/events/rejected": "get_rejected_events",
        "/events/rejected.{extension}": "get_rejected_events_file",
        "/reports/daily": "get_daily_report",
        "/health": "get_health",
        "/snapshots": "get_snapshots",
        "/sync/runs": "get_sync_runs",
        "/sync/runs.{extension}": "get_sync_runs_file",
        "/sync/runs/views": "get_sync_view_runs",
        "/views": "get_views",
        "/views/{object}": "get_view",
        "/views/{object}.{extension}": "get_view_file",
        "/reports/{name}": "get_report",
        "/reports/{name}.{extension}": "get_report_file",
        "/report": "post_report",
        "/query": "post_query",
        "/query/tables": "get_query_tables",
        "/metrics": "get_metrics",
        "/retention": "get_retention",
        "/v1/health": "get_health_in_bytes",
        "/v1/rooms/{room_id}/statistics": "get_room_statistics",
        "/v1/statistics": "get_statistics",
        "/session": "get_session",
        "/link": "get_link",
    }


def test_every_protected_route_names_the_security_scheme(
    document: dict[str, Any],
) -> None:
    """The Authorize button of /docs then sends the token."""
    scheme = document["components"]["securitySchemes"]["HTTPBearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in document["paths"].items():
        protected = bool(next(iter(methods.values()))["security"])
        assert protected == (path not in PUBLIC), path


def test_every_operation_has_a_sentence_as_summary(document: dict[str, Any]) -> None:
    """The first of its description, instead of the name of its function."""
    described_tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert len(operation["summary"].split()) >= 3, path
            assert not operation["summary"].startswith("Get "), path
            assert set(operation["tags"]) <= described_tags


def test_optional_parameters_have_one_type(document: dict[str, Any]) -> None:
    """A union with null would become an awkward type in generated clients."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for each in operation.get("parameters", []):
                assert '"null"' not in json.dumps(each["schema"]), each["name"]


def test_errors_are_described_in_both_shapes(document: dict[str, Any]) -> None:
    """Each 401, 404 and 422."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status in ("401", "403", "404", "422"):
                    assert PROBLEM_JSON in response["content"]


def test_answers_as_of_an_instant_may_be_404(document: dict[str, Any]) -> None:
    """No snapshot of it may be kept. A link is signed, whether or not there is one."""
    operations = {
        path: operation
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if any(each["name"] == "as_of" for each in operation.get("parameters", []))
    }
    without = {
        path for path, each in operations.items() if "404" not in each["responses"]
    }
    assert without == {"/link"}


def test_every_answer_is_a_described_model(document: dict[str, Any]) -> None:
    """Each 200 has a schema, and each field of a statistic a description."""
    for path, methods in document["paths"].items():
        content = next(iter(methods.values()))["responses"]["200"]["content"]
        if path == "/metrics":
            assert content["text/plain"]["schema"]["type"] == "string"
        elif path.endswith(".csv"):
            assert content["text/csv"]["schema"]["type"] == "string"
        elif "$ref" not in content["application/json"]["schema"]:
            assert set(content) == {media_type(each) for each in TableFormat}, path
            table = content["application/json"]["schema"]["properties"]
            assert {"columns", "rows", "truncated"} <= set(table), path
        else:
            assert "$ref" in content["application/json"]["schema"]
    for name in ("Traffic", "Votes", "Behaviour", "RoomStats", "Daily"):
        fields = document["components"]["schemas"][name]["properties"]
        for field, schema in fields.items():
            assert schema.get("description"), f"{name}.{field}"
            assert schema.get("examples"), f"{name}.{field}"


@pytest.mark.parametrize("answer", ["AnalyticsAnswer", "DailyAnswer", "RoomAnswer"])
def test_answers_under_a_range_share_an_envelope(
    document: dict[str, Any], answer: str
) -> None:
    """The same members with the same descriptions, after the figures."""
    members = ["data_updated_at", "query", "previous", "change"]
    fields = document["components"]["schemas"][answer]["properties"]
    assert list(fields)[-4:] == members
    for member in members:
        shared = described(document, "AnalyticsAnswer", member)
        assert described(document, answer, member) == shared


def test_units_are_stated(document: dict[str, Any]) -> None:
    """Minutes, seconds, shares, megabytes and percent."""
    for schema, field, unit in (
        ("Traffic", "average_duration", "minutes"),
        ("Traffic", "bounce_rate", "0 to 1"),
        ("Votes", "avg_duration_per_vote", "minutes"),
        ("RoomStats", "duration", "seconds"),
        ("StorageHealth", "data_size_mb", "Megabytes"),
        ("FreshnessHealth", "age_seconds", "Seconds"),
        ("RoomAnswer", "change", "percent"),
        ("TrafficStatistics", "bounce_rate", "0 to 1"),
        ("TrafficStatistics", "average_session_seconds", "seconds"),
        ("VoteStatistics", "average_duration_seconds", "seconds"),
        ("RoomStatistics", "average_duration_seconds", "seconds"),
        ("StorageBytesHealth", "data_size_bytes", "Bytes"),
    ):
        assert unit in described(document, schema, field), f"{schema}.{field}"


@pytest.mark.parametrize(
    "path", ["/", "/v1/statistics", "/historical.csv", "/reoccurring.csv"]
)
def test_series_are_described_for_every_interval_and_with_weekends(
    document: dict[str, Any], path: str
) -> None:
    """A row is not always a day, and not always from Monday to Friday."""
    interval = parameter(document, path, "interval")
    for length in ("day", "week", "month"):
        assert re.search(rf"\b{length}s?\b", interval)
    assert "mean of 30 rows" in interval
    weekends = parameter(document, path, "weekends")
    assert "By default they count Monday to Friday only" in weekends


def test_no_text_claims_monday_to_friday_without_mentioning_weekends(
    document: dict[str, Any],
) -> None:
    """Series list every calendar day with `weekends`."""
    found = [text for text in texts(document) if "Monday to Friday" in text]
    assert found
    for text in found:
        assert re.search("weekends|By default", text), text


def test_no_text_calls_a_row_a_day(document: dict[str, Any]) -> None:
    """A row is a week or a month with `interval`."""
    for text in texts(document):
        if re.search(r"\brows? (per|each|a)\b.*\bday", text, re.IGNORECASE):
            assert "month" in text, text


def test_docs_load_nothing_from_other_hosts(client: TestClient) -> None:
    """Script and style are served by this server."""
    page = client.get("/docs").text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert client.get(f"/docs/assets/{asset}").status_code == 200
