"""Real servers and table schemas, shared by tests and benchmarks."""
