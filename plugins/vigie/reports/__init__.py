"""Quality, drift and performance reports, and the drift decision."""
