"""Schema versions: Alembic keeps the order, plain SQL says what happens."""

from __future__ import annotations

from pathlib import Path

from alembic import op

HERE = Path(__file__).parent


def run_sql(name: str) -> None:
    """Run the SQL file ``versions/NAME`` as it stands (no parameter or escape is interpreted)."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute((HERE / "versions" / name).read_text())
