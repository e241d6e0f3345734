"""The spool: files of events that the collector writes and the updater reads."""
