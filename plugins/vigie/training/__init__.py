"""Training of models: split, candidates, metrics, gate, servable models and staging."""
