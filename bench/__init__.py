"""What `make bench` runs: answers and syncs, measured hstack what one could use instead."""
