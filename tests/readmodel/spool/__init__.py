"""Tests of `readmodel.spool`."""
