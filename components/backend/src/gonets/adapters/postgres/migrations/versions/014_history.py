"""What is asked of the past: indexes by contact and by audited object, and persons who were erased."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "014"
down_revision = "013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_index("ix_audit_entry_object", "audit_entry", ["object", "object_id", "id"])
    op.create_index(
        "ix_notification_contact",
        "notification",
        ["contact_id", "id"],
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.add_column("notification", sa.Column("erased_at", time, comment="When its person was erased"))
    op.create_table(
        "erasure",
        sa.Column("owner_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("contact_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("task_ids", ARRAY(sa.BigInteger), nullable=False, comment="Under which its phones were looked up"),
        sa.Column("asked_at", time, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("done_at", time, comment="When the contact was gone"),
        comment="Contacts whose persons were erased: what still comes in of them is erased for some days",
    )
    op.create_index("ix_erasure_asked", "erasure", ["asked_at"])


def downgrade() -> None:
    op.drop_table("erasure")
    op.drop_column("notification", "erased_at")
    op.drop_index("ix_notification_contact", "notification")
    op.drop_index("ix_audit_entry_object", "audit_entry")
