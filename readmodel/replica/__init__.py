"""Replicas: copies of the read model in an object storage, written, followed, restored."""
