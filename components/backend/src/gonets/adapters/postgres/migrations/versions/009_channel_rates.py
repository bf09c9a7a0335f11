"""A channel may have a limit of its own."""

import sqlalchemy as sa
from alembic import op

revision = "009"
down_revision = "007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "channel",
        sa.Column(
            "rate_per_second", sa.Float(53), comment="Messages, over all workers; NULL: as the setting of its type says"
        ),
    )


def downgrade() -> None:
    op.drop_column("channel", "rate_per_second")
