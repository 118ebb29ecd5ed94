"""Train, evaluate and register detectors."""
