"""Tests of readmodel/source/mysql."""
