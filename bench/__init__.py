"""What `make bench` runs: answers and syncs, measured beside what one could use instead."""
