"""Links by which people tell a Telegram bot who they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision = "007"
down_revision = "006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_link",
        sa.Column(
            "contact_id",
            sa.BigInteger,
            sa.ForeignKey("contact.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("code", BYTEA, nullable=False, comment="SHA-256 of what the person sends with /start"),
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("channel_id", sa.BigInteger, nullable=False, comment="Whose bot; 0: the operator's"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("code", name="uq_chat_link_code"),
    )


def downgrade() -> None:
    op.drop_table("chat_link")
