"""What collector and updater share: the verdict on an event, and the spool's format."""
