"""Tests of readmodel.store."""
