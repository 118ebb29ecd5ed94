"""Training of models: split, candidates, metrics, gate, servable models, staging."""
