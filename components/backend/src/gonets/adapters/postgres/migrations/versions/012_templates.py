"""templates: to be written."""

revision = "012"
down_revision = "011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
