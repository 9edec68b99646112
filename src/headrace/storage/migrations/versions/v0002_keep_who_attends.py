"""Keep who attends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """The workers that live, and the code that they answer by."""
    op.create_table(
        "attendances",
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )
