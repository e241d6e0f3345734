"""Middleware: request limits and the access log."""
