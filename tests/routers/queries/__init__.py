"""Tests of routers/queries."""
