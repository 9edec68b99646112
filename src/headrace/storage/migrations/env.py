"""How Alembic runs the migrations: over the connection that it is given, in the transaction that has begun there."""

from __future__ import annotations

from alembic import context

from headrace.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot change a column: the table is made anew and filled from the old one.
    render_as_batch=True,
)
context.run_migrations()
