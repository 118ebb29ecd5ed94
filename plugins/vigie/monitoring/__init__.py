"""Push metrics, and merge the metrics files of all jobs."""
