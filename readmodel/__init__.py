"""The read model: databases, Parquet snapshots, and the sync between them."""
