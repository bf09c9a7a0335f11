"""Campaigns know the saved audience that they are for."""

import sqlalchemy as sa
from alembic import op

revision = "015"
down_revision = "014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "campaign",
        # No foreign key: what was sent to it is still told when it is gone.
        sa.Column("audience_id", sa.BigInteger, comment="A saved audience, which is taken as it is at the start"),
    )


def downgrade() -> None:
    op.drop_column("campaign", "audience_id")
