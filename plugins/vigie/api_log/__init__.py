"""Render and parse the API log line."""
