"""Self-check of `update_readmodel.py doctor`: everything that a sync needs."""
