"""The SQL files that are shipped in views/."""
