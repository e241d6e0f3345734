"""PostgreSQL as a source, against a real server."""
