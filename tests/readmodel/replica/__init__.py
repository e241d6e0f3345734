"""Tests of readmodel.replica."""
