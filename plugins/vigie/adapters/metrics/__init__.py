"""Metrics sinks: Pushgateway and text files."""
