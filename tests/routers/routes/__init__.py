"""Tests of routers/routes."""
