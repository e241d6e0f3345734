"""Tests of the package sqlfiles."""
