"""Reports drawn by Evidently."""
