"""The API log line: rendered by serving, parsed by collection."""
