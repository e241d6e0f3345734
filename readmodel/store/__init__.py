"""What readers may see of the read model: snapshots, their visits, and the run log."""
