"""What the updater does around a sync: report it, tell of earlier ones, check itself."""
