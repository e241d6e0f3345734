"""Tests of `readmodel.stream`."""
