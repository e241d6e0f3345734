"""A cluster of Dask that runs the plans of statistics: its client, workers, scheduler.

Nothing of it is imported without ENGINE_URL.
"""
