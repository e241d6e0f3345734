"""All that writes the read model: sync the tables, verify them, log the runs."""
