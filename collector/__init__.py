"""The collector: takes events in by HTTP and writes them to the spool."""
