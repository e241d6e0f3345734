"""Tests of routers/middleware."""
