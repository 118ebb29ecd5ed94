"""The local platform: init, up, status, down, check."""
