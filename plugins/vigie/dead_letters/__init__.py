"""Write, list and replay dead letters, the records that could not be processed."""
