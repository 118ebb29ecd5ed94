"""Collect the API log lines into the three indices."""
