"""The migrations, which are never changed after their release."""
