"""The demonstration: a sample database, and `make demo`, which serves it."""
