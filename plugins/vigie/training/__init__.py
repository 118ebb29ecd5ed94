"""Split, candidates, metrics, selection, gate."""
