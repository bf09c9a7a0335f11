"""Attempts are found by the provider's id where nothing else names them: by SMPP."""

import sqlalchemy as sa
from alembic import op

revision = "018"
down_revision = "017"
branch_labels = None
depends_on = None


def _index(condition: str) -> None:
    op.drop_index("ix_attempt_provider_id", "attempt")
    op.create_index(
        "ix_attempt_provider_id", "attempt", ["channel_id", "provider_id"], postgresql_where=sa.text(condition)
    )


def upgrade() -> None:
    _index("provider_id IS NOT NULL AND channel_type = 'SMS_SMPP'")


def downgrade() -> None:
    _index("provider_id IS NOT NULL")
