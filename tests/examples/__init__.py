"""The examples, each started once and asked everything."""
