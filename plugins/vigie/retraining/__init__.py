"""Retrain a model: triggers, data, candidates, gate, promotion."""
