"""Kafka: read a topic from given offsets on."""
