"""A channel may have a limit of its own; a rate is permits, and no slots."""

import sqlalchemy as sa
from alembic import op

revision = "009"
down_revision = "008"
branch_labels = None
depends_on = None

_IN_FLIGHT, _COUNT = "Calls in flight, by worker_life", "Calls that count, by worker_life"


def upgrade() -> None:
    op.add_column(
        "channel",
        sa.Column(
            "rate_per_second", sa.Float(53), comment="Messages, over all workers; NULL: as the setting of its type says"
        ),
    )
    op.drop_column("provider", "next_slot_at")
    op.alter_column(
        "provider",
        "permits",
        comment="Calls that count, by worker_life",
        existing_comment="Calls in flight, by worker_life",
    )


def downgrade() -> None:
    op.alter_column(
        "provider",
        "permits",
        comment="Calls in flight, by worker_life",
        existing_comment="Calls that count, by worker_life",
    )
    op.add_column(
        "provider",
        sa.Column(
            "next_slot_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
            comment="The first moment that is not reserved",
        ),
    )
    op.drop_column("channel", "rate_per_second")
