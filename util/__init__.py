"""Helpers that know nothing of this product's data."""
