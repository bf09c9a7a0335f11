"""What stands in place of an erased task's data: readers refuse a task without any."""

from alembic import op

revision = "017"
down_revision = "016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE task SET data = '(erased)' WHERE data = ''")


def downgrade() -> None:
    op.execute("UPDATE task SET data = '' WHERE data = '(erased)'")
