"""Detectors of anomalous log lines."""
