"""The updater around a sync: command line, reports, status and self-check."""
