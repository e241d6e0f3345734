"""The demonstration: a lively sample source, and what `make demo` runs on it."""
