"""Alembic's environment; its versions are never changed once released."""
