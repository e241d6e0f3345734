"""Tests of routers/views."""
