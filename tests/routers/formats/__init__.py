"""Tests of routers/formats."""
