"""Tests of the examples: each is asked everything that its original answered."""
