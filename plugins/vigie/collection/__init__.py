"""Collect API log lines into three indices: raw lines, messages and performance."""
