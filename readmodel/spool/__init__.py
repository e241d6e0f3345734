"""Spools of collectors, as the updater sees them: folders, or over HTTP."""
