"""Tests of updater."""
