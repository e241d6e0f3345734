"""Deployment: systemd units, nginx, Prometheus and Grafana examples."""
