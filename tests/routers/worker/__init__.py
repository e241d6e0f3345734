"""Tests of routers/worker."""
