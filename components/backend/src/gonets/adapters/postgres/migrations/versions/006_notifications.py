"""Notifications: one message to one person, its tries, and what holds their places."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "006"
down_revision = "005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, nullable=False, comment="The user it belongs to"),
        sa.Column("recipient", JSONB, nullable=False, comment="The addresses, as they were when it was handed in"),
        sa.Column("contact_id", sa.BigInteger, comment="The contact that the addresses were taken from"),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("username", sa.Text),
        sa.Column("event", JSONB, nullable=False, server_default="{}", comment="Passed on to webhooks and bots"),
        sa.Column(
            "route", ARRAY(sa.BigInteger), nullable=False, server_default="{}", comment="Empty: the default order"
        ),
        sa.Column("deadline", time),
        sa.Column("fallback_after", sa.Interval),
        sa.Column("notify_result", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("held", sa.Boolean, nullable=False, server_default="false", comment="Waits to be released"),
        sa.Column("cancelled", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, comment="The decision it rests on, for a person"),
        sa.Column("channel_id", sa.BigInteger, comment="The channel its end is about; 0: an operator's"),
        sa.Column("channel_type", sa.Text),
        sa.Column("round", sa.Integer, nullable=False, server_default="1", comment="Grows with each retry by hand"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0", comment="Rows of attempt"),
        sa.Column("told", sa.Text, comment="The status that was told as its end"),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0", comment="Grows with each change"),
        sa.Column("stamp", sa.BigInteger, comment="Whose change was the last"),
        sa.Column("life", sa.BigInteger, comment="The worker_life in whose hands it is; NULL: in nobody's"),
        sa.Column("due_at", time, comment="When something has to be done about it; NULL: never"),
        sa.Column("wake_at", time, comment="When the scheduler looks at it; NULL: never"),
        sa.Column("wakes", sa.SmallInteger, nullable=False, server_default="0", comment="Wake-ups sent without effect"),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("sent_at", time, comment="When a provider first took it"),
        sa.Column("finished_at", time),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_notification_owner", "notification", ["owner_id", "created_at", "id"])
    op.create_index(
        "ix_notification_wake", "notification", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL")
    )
    op.create_index("ix_notification_in_hand", "notification", ["life"], postgresql_where=sa.text("life IS NOT NULL"))
    op.create_table(
        "attempt",
        sa.Column("notification_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("reference", sa.Text, nullable=False, comment="Names it in callbacks"),
        sa.Column("channel_id", sa.BigInteger, nullable=False, comment="0: an operator's channel"),
        sa.Column("channel_type", sa.Text, nullable=False),
        sa.Column("channel_name", sa.Text, nullable=False),
        sa.Column("to", sa.Text, comment="NULL: the channel's own destination"),
        sa.Column("why", sa.Text, nullable=False, comment="The decision that began it"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("ended_at", time),
        sa.Column("counted_from", time, comment="Since when a delivery receipt is missing"),
        sa.Column("provider_id", sa.Text),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("refusal", sa.Text),
        sa.Column("code", sa.Text, comment="The provider's own"),
        sa.Column("reason", sa.Text),
        sa.Column("hint", sa.Text),
        sa.Column("retry_after", sa.Float(53), comment="Seconds the provider asked us to wait"),
        sa.Column("asked", sa.Integer, nullable=False, comment="Times the provider was asked what became of it"),
        sa.Column("asked_at", time),
        sa.Column("held", sa.Boolean, nullable=False, comment="The provider keeps it back"),
        sa.Column("events", JSONB, nullable=False, comment="Its story"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_attempt_provider_id",
        "attempt",
        ["channel_id", "provider_id"],
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.create_table(
        "notification_key",
        sa.Column("owner_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True, comment="Chosen by the sender"),
        sa.Column("digest", sa.Text, nullable=False, comment="Of everything else that was handed in"),
        sa.Column("notification_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        comment="Idempotency keys, for seven days",
    )
    op.create_index("ix_notification_key_created", "notification_key", ["created_at"])
    op.create_table(
        "stray_receipt",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("receipt", JSONB, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        comment="Receipts that came before the commit that knows their message",
    )
    op.create_index("ix_stray_receipt", "stray_receipt", ["channel_id", "provider_id"])
    op.create_table(
        "channel_pause",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("until", time, nullable=False),
        comment="Channels whose provider asked to be left in peace",
    )


def downgrade() -> None:
    for table in ("channel_pause", "stray_receipt", "notification_key", "attempt", "notification"):
        op.drop_table(table)
