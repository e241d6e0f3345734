"""Databases that can be mirrored, each read at one instant."""
