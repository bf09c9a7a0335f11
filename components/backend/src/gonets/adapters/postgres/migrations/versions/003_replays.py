"""What an operator did with failed tasks."""

import sqlalchemy as sa
from alembic import op

revision = "003"
down_revision = "002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "task",
        sa.Column(
            "replays", sa.Integer, nullable=False, server_default="0", comment="Times an operator had it tried again"
        ),
    )
    op.add_column(
        "task",
        sa.Column(
            "replayed_at", sa.DateTime(timezone=True), comment="From when on its age counts; NULL: from created_at"
        ),
    )
    op.add_column(
        "task",
        sa.Column("dropped_at", sa.DateTime(timezone=True), comment="When an operator gave up a failed task"),
    )
    op.create_index("ix_task_failed", "task", ["updated_at", "task_id"], postgresql_where=sa.text("status = 'failed'"))


def downgrade() -> None:
    op.drop_index("ix_task_failed", "task")
    for column in ("replays", "replayed_at", "dropped_at"):
        op.drop_column("task", column)
