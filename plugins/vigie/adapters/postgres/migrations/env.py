"""Alembic environment: use the connection that :mod:`vigie.adapters.postgres.migrate` opened."""

from alembic import context

from vigie.adapters.postgres.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
