"""Score a stream of log lines and index the results."""
