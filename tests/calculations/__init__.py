"""Tests of calculations."""
