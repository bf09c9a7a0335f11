"""What workers share of each provider; the tries that failed; which tasks run alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "task",
        sa.Column("alone", sa.Boolean, nullable=False, server_default="false", comment="Run with nothing else in hand"),
    )
    op.create_table(
        "task_attempt",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, comment="What the provider said, shortened, secrets out"),
        comment="Tries that failed",
    )
    op.create_index("ix_task_attempt_task", "task_attempt", ["task_id", "id"])
    op.create_table(
        "provider",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column(
            "next_slot_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
            comment="The first moment that is not reserved",
        ),
        sa.Column("permits", JSONB, nullable=False, server_default="{}", comment="Calls in flight, by worker_life"),
        sa.Column("line_at", sa.DateTime(timezone=True), comment="Until when tasks set aside are lined up"),
        sa.Column(
            "circuit_opened",
            sa.Integer,
            nullable=False,
            server_default="0",
            comment="Pauses in a row; 0: the circuit is closed",
        ),
        sa.Column("circuit_since", sa.DateTime(timezone=True)),
        sa.Column("circuit_until", sa.DateTime(timezone=True)),
        sa.Column("circuit_pause", sa.Interval),
        sa.Column("circuit_category", sa.Text),
        sa.Column("circuit_reason", sa.Text),
        sa.Column("probe_until", sa.DateTime(timezone=True), comment="While somebody probes"),
        postgresql_with={"fillfactor": 10},
    )


def downgrade() -> None:
    op.drop_table("task_attempt")
    op.drop_column("task", "alone")
    op.drop_table("provider")
