"""Model bundles in a directory."""
