"""Tests of the spool's format."""
