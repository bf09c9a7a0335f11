"""contacts: to be written."""

revision = "010"
down_revision = "007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
