"""Who uses the service: users, sessions, API keys, the audit log; and their contacts."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision = "004"
down_revision = "003"
branch_labels = None
depends_on = None


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()"))


def _time(name: str, comment: str | None = None) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), comment=comment)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("email", sa.Text, nullable=False, comment="As its owner writes it"),
        sa.Column("email_key", sa.Text, nullable=False, comment="By which it is found: small letters"),
        sa.Column("password_hash", sa.Text, nullable=False, comment="Argon2id"),
        sa.Column("role", sa.Enum("admin", "member", name="user_role"), nullable=False),
        _time("disabled_at"),
        _now("created_at"),
        _now("updated_at"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        _now("created_at"),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=False, comment="Later with each refresh; then it is over"
        ),
        _time("ended_at", "By logout, a new password, a disabled user, or a refresh token used twice"),
    )
    op.create_index("ix_session_user", "session", ["user_id"])
    op.create_table(
        "refresh_token",
        sa.Column("hash", BYTEA, primary_key=True, comment="SHA-256"),
        sa.Column("session_id", sa.BigInteger, sa.ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
        _time("used_at", "Used again, it ends its session"),
    )
    op.create_index("ix_refresh_token_session", "refresh_token", ["session_id"])
    op.create_table(
        "password_reset",
        sa.Column("hash", BYTEA, primary_key=True, comment="SHA-256"),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_password_reset_user", "password_reset", ["user_id"])
    op.create_table(
        "login_throttle",
        sa.Column("key", sa.Text, primary_key=True, comment="account:… or address:…"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0", comment="In a row, those under way too"),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_login_throttle_last", "login_throttle", ["last_at"])
    op.create_table(
        "api_key",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hash", BYTEA, nullable=False, comment="SHA-256 of a key of 256 random bits"),
        sa.Column("hint", sa.Text, nullable=False, comment="Its last characters"),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        _now("created_at"),
        _time("last_used_at", "Within a minute or so"),
        _time("revoked_at"),
        sa.UniqueConstraint("hash", name="uq_api_key_hash"),
    )
    op.create_index("ix_api_key_user", "api_key", ["user_id", "created_at", "id"])
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _now("at"),
        sa.Column("user_id", sa.BigInteger, comment="Who; NULL: an operator at the command line"),
        sa.Column("api_key_id", sa.BigInteger, comment="With which key; NULL: in person"),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("object_id", sa.BigInteger),
        sa.Column("detail", JSONB, nullable=False, server_default="{}"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at", "id"])
    op.create_table(
        "contact",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("phone", sa.Text, comment="E.164"),
        sa.Column("email", sa.Text),
        sa.Column("telegram_chat_id", sa.Text, comment="A number, or @channelname"),
        _now("created_at"),
        _now("updated_at"),
    )
    op.create_index("ix_contact_owner", "contact", ["owner_id", "created_at", "id"])


def downgrade() -> None:
    for table in (
        "contact",
        "audit_entry",
        "api_key",
        "login_throttle",
        "password_reset",
        "refresh_token",
        "session",
        "users",
    ):
        op.drop_table(table)
    sa.Enum(name="user_role").drop(op.get_bind())
