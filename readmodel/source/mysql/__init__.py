"""MySQL and MariaDB as a source."""

from util.imports import not_importable

# The driver imports OpenTelemetry's SDK where it is installed, which takes nearly as long
# as the driver itself, and would then send the ids of traces to the server.
with not_importable("opentelemetry"):
    import mysql.connector  # noqa: F401 - imported here first
