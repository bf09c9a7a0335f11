"""Channels may test themselves, and keep what came of the last test."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "008"
down_revision = "007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channel", sa.Column("self_test_every", sa.Integer, comment="Seconds; NULL: it does not test itself"))
    op.add_column(
        "channel", sa.Column("self_tested_at", sa.DateTime(timezone=True), comment="When the last self-test began")
    )
    op.add_column("channel", sa.Column("last_test", JSONB, comment="What came of the last test: at, ok, step, reason"))
    op.create_index("ix_channel_self_test", "channel", ["self_tested_at"], postgresql_where="self_test_every > 0")


def downgrade() -> None:
    op.drop_index("ix_channel_self_test", "channel")
    op.drop_column("channel", "last_test")
    op.drop_column("channel", "self_tested_at")
    op.drop_column("channel", "self_test_every")
