"""Tests of updater.doctor."""
