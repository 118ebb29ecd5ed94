"""Detection of anomalous log lines: detectors, ingest, scoring, training."""
