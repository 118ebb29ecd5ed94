"""Elasticsearch 8 and 9: the log index."""
