"""Tests of readmodel/source."""
