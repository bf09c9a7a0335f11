"""Channels: configured ways to reach people."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "005"
down_revision = "004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    op.create_table(
        "channel",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False, comment="TELEGRAM, EMAIL…"),
        sa.Column("configuration", JSONB, nullable=False, comment="Without its secrets"),
        sa.Column("secrets", sa.Text, comment="The others, as an encrypted JSON object; NULL: there are none"),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
    )
    op.create_index("ix_channel_owner", "channel", ["owner_id", "created_at", "id"])
    op.create_index("uq_channel_default", "channel", ["owner_id"], unique=True, postgresql_where=sa.text("is_default"))


def downgrade() -> None:
    op.drop_table("channel")
