"""PgQueuer's tables, as its own release defines them, and the fence that makes an effect happen once."""

from __future__ import annotations

from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

from core.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    cursor = op.get_bind().connection.cursor()
    cursor.execute(QueryBuilderEnvironment().build_install_query(create_schema=False))
    run_sql("0002_jobs.sql")
