"""The routes of the collector."""
