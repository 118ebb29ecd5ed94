"""Read log files into the stream."""
