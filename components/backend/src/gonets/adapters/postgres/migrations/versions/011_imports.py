"""imports: to be written."""

revision = "011"
down_revision = "010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
