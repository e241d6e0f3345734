"""Tests of readmodel."""
