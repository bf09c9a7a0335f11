"""Campaigns: one message to many, its messages in chunks, and how many stand where."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "013"
down_revision = "012"
branch_labels = None
depends_on = None

# Whoever changes notifications, by whatever statement: the counts change in the same transaction. Counters are locked
# last, and in one order.
_COUNT = """
CREATE FUNCTION campaign_count_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaign_count AS c (campaign_id, status, n)
    SELECT campaign_id, status, sum(delta) FROM ({deltas}) d
    WHERE campaign_id IS NOT NULL
    GROUP BY campaign_id, status
    HAVING sum(delta) <> 0
    ORDER BY campaign_id, status
    ON CONFLICT (campaign_id, status) DO UPDATE SET n = c.n + excluded.n;
    RETURN NULL;
END
$$
"""
_NEW = "SELECT campaign_id, status, 1 AS delta FROM new_rows"
_OLD = "SELECT campaign_id, status, -1 AS delta FROM old_rows"


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "campaign",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False, comment="With its variables, where it has some"),
        sa.Column("subject", sa.Text),
        sa.Column("template_id", sa.BigInteger),
        sa.Column("template_version", sa.Integer),
        sa.Column("variables", sa.Boolean, nullable=False, comment="Rendered for each recipient"),
        sa.Column("audience", JSONB, nullable=False),
        sa.Column("route", ARRAY(sa.BigInteger), nullable=False, server_default="{}"),
        sa.Column("fallback_after", sa.Interval),
        sa.Column("start_at", time),
        sa.Column("end_at", time, comment="Nothing leaves from then on"),
        sa.Column("send_window", JSONB, comment="Local time of each recipient"),
        sa.Column("rate", sa.Float(53), comment="Messages a second"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("key", sa.Text, comment="The sender's mark, under which it is made once"),
        sa.Column("total", sa.BigInteger, nullable=False, server_default="0", comment="Notifications made so far"),
        sa.Column("zones", ARRAY(sa.Text), comment="Of a window: those still to be fanned out, the first one now"),
        sa.Column("fanned_to", sa.BigInteger, nullable=False, server_default="0", comment="The last contact's id"),
        sa.Column("fanned_out_at", time),
        sa.Column("closed_at", time, comment="It ended early, and so did its messages that were not begun"),
        sa.Column("life", sa.BigInteger, comment="The worker_life that fans it out or closes it"),
        sa.Column("stamp", sa.BigInteger, comment="Whose change was the last"),
        sa.Column("wake_at", time, comment="When the scheduler looks at it; NULL: never"),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("updated_at", time, nullable=False, server_default=now),
        sa.Column("started_at", time),
        sa.Column("finished_at", time),
        sa.UniqueConstraint("owner_id", "key", name="uq_campaign_key"),
    )
    op.create_index("ix_campaign_owner", "campaign", ["owner_id", "id"])
    op.create_index("ix_campaign_wake", "campaign", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL"))
    op.create_index("ix_campaign_running", "campaign", ["id"], postgresql_where=sa.text("status = 'running'"))
    op.create_index(
        "ix_campaign_end", "campaign", ["end_at"], postgresql_where=sa.text("status IN ('running', 'paused')")
    )
    op.create_table(
        "campaign_chunk",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("campaign_id", sa.BigInteger, sa.ForeignKey("campaign.id", ondelete="CASCADE"), nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False, comment="The last notification whose sending was begun"),
        sa.Column("marked_at", time),
        sa.Column("zone", sa.Text, comment="The recipients' time zone, where the campaign has a window"),
        sa.Column("due_at", time, nullable=False, comment="Not to be sent before: the window opens, or its turn comes"),
        sa.Column("closes_at", time, comment="When the window closes"),
        sa.Column("life", sa.BigInteger, comment="The worker_life that sends it"),
        sa.Column("stamp", sa.BigInteger),
        sa.Column("wake_at", time, comment="When the scheduler wakes it; NULL: it is in hand, or done"),
        sa.Column("done_at", time),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("ix_campaign_chunk_campaign", "campaign_chunk", ["campaign_id", "id"])
    op.create_index(
        "ix_campaign_chunk_left", "campaign_chunk", ["campaign_id", "id"], postgresql_where=sa.text("done_at IS NULL")
    )
    op.create_index(
        "ix_campaign_chunk_wake", "campaign_chunk", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL")
    )
    op.create_index(
        "ix_campaign_chunk_in_hand", "campaign_chunk", ["life"], postgresql_where=sa.text("life IS NOT NULL")
    )
    op.create_table(
        "campaign_count",
        # No foreign key: receipts come for messages of campaigns that are gone.
        sa.Column("campaign_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        comment="How many notifications of a campaign have each status; kept by triggers of notification",
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "early_receipt",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("receipt", JSONB, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        comment="Receipts that came before the commit that knows their attempt",
    )
    op.create_index("ix_early_receipt", "early_receipt", ["reference"])
    op.add_column("notification", sa.Column("campaign_id", sa.BigInteger, comment="NULL: it was asked for by itself"))
    op.add_column(
        "notification", sa.Column("zone", sa.Text, comment="The recipient's, where the campaign has a window")
    )
    op.create_index(
        "uq_notification_campaign",
        "notification",
        ["campaign_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.execute(_COUNT.format(name="made", deltas=_NEW))
    op.execute(_COUNT.format(name="changed", deltas=f"{_NEW} UNION ALL {_OLD}"))
    op.execute(
        "CREATE TRIGGER campaign_count_made AFTER INSERT ON notification REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION campaign_count_made()"
    )
    op.execute(
        "CREATE TRIGGER campaign_count_changed AFTER UPDATE ON notification"
        " REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION campaign_count_changed()"
    )


def downgrade() -> None:
    for name in ("made", "changed"):
        op.execute(f"DROP TRIGGER campaign_count_{name} ON notification")
        op.execute(f"DROP FUNCTION campaign_count_{name}()")
    op.drop_index("uq_notification_campaign", "notification")
    op.drop_column("notification", "zone")
    op.drop_column("notification", "campaign_id")
    for table in ("early_receipt", "campaign_count", "campaign_chunk", "campaign"):
        op.drop_table(table)
