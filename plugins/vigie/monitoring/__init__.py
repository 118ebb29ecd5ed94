"""Push metrics."""
