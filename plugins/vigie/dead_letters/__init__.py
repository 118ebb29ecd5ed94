"""Records that could not be processed: write, list, replay."""
