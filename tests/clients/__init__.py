"""The clients that send events to the collector."""
