"""Messages of people that were heeded: one that is brought again changes nothing."""

import sqlalchemy as sa
from alembic import op

revision = "016"
down_revision = "015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heeded_message",
        sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="0: the operator's"),
        sa.Column("provider_id", sa.Text, primary_key=True),
        sa.Column("heeded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        comment="Answers of people that were heeded, for 30 days, so that a repetition changes nothing",
    )
    op.create_index("ix_heeded_message", "heeded_message", ["heeded_at"])


def downgrade() -> None:
    op.drop_table("heeded_message")
