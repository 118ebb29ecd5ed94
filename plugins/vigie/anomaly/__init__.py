"""Detectors, thresholds, explanation, incidents."""
