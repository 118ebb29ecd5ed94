"""Log lines: parse, filter, normalise, vocabulary."""
