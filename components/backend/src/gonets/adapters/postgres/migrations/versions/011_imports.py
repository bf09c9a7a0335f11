"""Imports of contacts, and the rows they rejected."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "011"
down_revision = "010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "contact_import",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("file_key", sa.Text, nullable=False, comment="Where the file is stored"),
        sa.Column("size", sa.BigInteger, nullable=False, comment="Bytes"),
        sa.Column("options", JSONB, nullable=False, comment="How the file is read, and what is done with it"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("checking", sa.Boolean, nullable=False, comment="Goes through the file, and writes no contact"),
        sa.Column("progress", sa.Float(53), nullable=False, server_default="0", comment="Of the file, 0 to 1"),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            for name in ("position", "row", "rows", "created", "updated", "unchanged", "skipped", "rejected")
        ),
        sa.Column("life", sa.BigInteger, comment="The worker_life that runs it"),
        sa.Column("deaths", sa.SmallInteger, nullable=False, server_default="0", comment="Of workers, since a block"),
        sa.Column("wake_at", time, server_default=now, comment="When the scheduler looks at it; NULL: never"),
        sa.Column("wakes", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("started_at", time),
        sa.Column("finished_at", time),
        sa.Column("file_gone", sa.Boolean, nullable=False, server_default="false"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("ix_contact_import_owner", "contact_import", ["owner_id", "id"])
    op.create_index(
        "ix_contact_import_wake", "contact_import", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL")
    )
    op.create_index(
        "ix_contact_import_in_hand", "contact_import", ["life"], postgresql_where=sa.text("life IS NOT NULL")
    )
    op.create_table(
        "contact_import_reject",
        sa.Column(
            "import_id",
            sa.BigInteger,
            sa.ForeignKey("contact_import.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("row", sa.BigInteger, primary_key=True, autoincrement=False, comment="As the file's reader counts"),
        sa.Column("column", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False, comment="Its beginning"),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        comment="Rows that an import did not take",
    )


def downgrade() -> None:
    op.drop_table("contact_import_reject")
    op.drop_table("contact_import")
