"""The routes of both programs, for tests that call each of them."""

PATH_VALUES = {
    "dimension": "country",
    "extension": "csv",
    "room_id": "1",
    "object": "x",
    "name": "x",
}
"""Values of path parameters that are well-formed."""
