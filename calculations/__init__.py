"""The statistics: pure functions from lazy frames to one-row plans."""
