"""What tests and benchmarks share: real servers, and the schemas of the six tables."""
