"""Tests of readmodel.sync."""
