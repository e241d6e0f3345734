"""The OpenAPI document: typed, described, and true to what is answered."""

import re
from typing import Any

from fastapi.testclient import TestClient

PUBLIC = {"/health"}


def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_protected_route_names_the_security_scheme(client: TestClient) -> None:
    """So that the Authorize button of /docs sends the token."""
    api = document(client)
    scheme = api["components"]["securitySchemes"]["HTTPBearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in api["paths"].items():
        protected = "security" in methods["get"]
        assert protected == (path not in PUBLIC), path


def test_every_answer_is_a_described_model(client: TestClient) -> None:
    """Each 200 has a schema, and each field of a statistic a meaning."""
    api = document(client)
    for path, methods in api["paths"].items():
        content = methods["get"]["responses"]["200"]["content"]
        if path == "/metrics":
            assert content["text/plain"]["schema"]["type"] == "string"
        elif path.endswith(".csv"):
            assert content["text/csv"]["schema"]["type"] == "string"
        else:
            assert "$ref" in content["application/json"]["schema"]
    for name in ("Traffic", "Votes", "Behaviour", "RoomStats", "Daily"):
        fields = api["components"]["schemas"][name]["properties"]
        for field, schema in fields.items():
            assert schema.get("description"), f"{name}.{field}"
            assert schema.get("examples"), f"{name}.{field}"


def test_units_are_stated(client: TestClient) -> None:
    """Minutes, seconds and shares are not for guessing."""
    schemas = document(client)["components"]["schemas"]

    def described(model: str, field: str) -> str:
        return str(schemas[model]["properties"][field]["description"])

    assert "minutes" in described("Traffic", "average_duration")
    assert "0 to 1" in described("Traffic", "bounce_rate")
    assert "minutes" in described("Votes", "avg_duration_per_vote")
    assert "seconds" in described("RoomStats", "duration")


def test_docs_asks_no_other_host(client: TestClient) -> None:
    """Its script and style come from this server."""
    page = client.get("/docs").text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert client.get(f"/docs/assets/{asset}").status_code == 200
