"""Alembic's entry: runs the versions on the connection that core.database hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
connection.exec_driver_sql("select settle_store()")  # at every start: the server may have learned something
