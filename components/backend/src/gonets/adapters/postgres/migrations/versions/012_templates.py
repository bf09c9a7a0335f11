"""Templates with their versions, and the addresses that must not be written to."""

import sqlalchemy as sa
from alembic import op

revision = "012"
down_revision = "011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "template",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, comment="The latest"),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("updated_at", time, nullable=False, server_default=now),
        sa.UniqueConstraint("owner_id", "name", name="uq_template_name"),
    )
    op.create_index("ix_template_owner", "template", ["owner_id", "created_at", "id"])
    op.create_table(
        "template_version",
        sa.Column(
            "template_id",
            sa.BigInteger,
            sa.ForeignKey("template.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
    )
    op.create_table(
        "suppression",
        sa.Column(
            "owner_id",
            sa.BigInteger,
            sa.ForeignKey("users.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("kind", sa.Text, primary_key=True, comment="phone, email or telegramChatId"),
        sa.Column("address", sa.Text, primary_key=True, comment="In lower case"),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("source", sa.Text, nullable=False, comment="manual, import, stop-reply or provider"),
        sa.Column("created_at", time, nullable=False, server_default=now),
    )
    op.create_index("ix_suppression_owner", "suppression", ["owner_id", "id"], unique=True)
    # Whoever answers an operator's number is known by what was sent to them from it.
    op.create_index(
        "ix_attempt_operator", "attempt", ["to", "channel_type"], postgresql_where=sa.text("channel_id = 0")
    )


def downgrade() -> None:
    op.drop_index("ix_attempt_operator", "attempt")
    for table in ("suppression", "template_version", "template"):
        op.drop_table(table)
