"""Tasks, their results, and the workers that hold them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ENUM, JSONB

revision = "001"
down_revision = None
branch_labels = None
depends_on = None

task_type = ENUM("phone", "email", "gpt", name="task_type", create_type=False)
task_status = ENUM(
    "queued", "processing", "parked", "answered", "done", "failed", name="task_status", create_type=False
)


def upgrade() -> None:
    task_type.create(op.get_bind())
    task_status.create(op.get_bind())
    op.create_table(
        "integration_service",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("data", JSONB, nullable=False, comment="What the provider answered, all its fields"),
        sa.Column("task_type", task_type, nullable=False),
    )
    now = sa.text("clock_timestamp()")
    op.create_table(
        "task",
        sa.Column("task_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Given by the sender"),
        sa.Column("task_type", task_type, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("status", task_status, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0", comment="Provider calls begun"),
        sa.Column(
            "takeovers", sa.Integer, nullable=False, server_default="0", comment="Times a worker died holding it"
        ),
        sa.Column("result_id", sa.BigInteger, comment="The row of integration_service"),
        sa.Column("error_category", sa.Text),
        sa.Column("error_reason", sa.Text),
        sa.Column(
            "waiters", JSONB, nullable=False, server_default="[]", comment='[{"reply_to", "correlation_id"}] to tell'
        ),
        sa.Column("claim_token", sa.BigInteger, comment="The delivery that holds it"),
        sa.Column("life", sa.BigInteger, comment="The worker_life in whose hands it is; NULL: in nobody's"),
        sa.Column("wake_at", sa.DateTime(timezone=True), comment="When the scheduler looks at it; NULL: never"),
        sa.Column("wakes", sa.SmallInteger, nullable=False, server_default="0", comment="Wake-ups sent without effect"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_task_created", "task", ["created_at", "task_id"])
    op.create_index("ix_task_not_done", "task", ["created_at", "task_id"], postgresql_where=sa.text("status <> 'done'"))
    op.create_index("ix_task_wake", "task", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL"))
    op.create_index("ix_task_in_hand", "task", ["life"], postgresql_where=sa.text("life IS NOT NULL"))
    op.create_table(
        "worker_life",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("worker", sa.Text, nullable=False, comment="host:pid"),
        sa.Column(
            "beats", sa.BigInteger, nullable=False, server_default="0", comment="Grows by one with each heartbeat"
        ),
        sa.Column("born_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
    )


def downgrade() -> None:
    op.drop_table("worker_life")
    op.drop_table("task")
    op.drop_table("integration_service")
    task_status.drop(op.get_bind())
    task_type.drop(op.get_bind())
