"""The only place where a byte leaves the process."""
