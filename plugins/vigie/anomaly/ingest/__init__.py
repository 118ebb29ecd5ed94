"""Write log files to the stream."""
