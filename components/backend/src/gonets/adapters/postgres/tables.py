"""The tables as they are after all migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

from gonets.core.identity.model import Role
from gonets.core.tasks.model import TaskStatus, TaskType

metadata = MetaData()

task_type = Enum(*(member.value for member in TaskType), name="task_type", metadata=metadata)
task_status = Enum(*(member.value for member in TaskStatus), name="task_status", metadata=metadata)

integration_service = Table(
    "integration_service",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("data", JSONB, nullable=False, comment="What the provider answered, all its fields"),
    Column("task_type", task_type, nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("task_id", BigInteger, primary_key=True, autoincrement=False, comment="Given by the sender"),
    Column("task_type", task_type, nullable=False),
    Column("data", Text, nullable=False),
    Column("status", task_status, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Provider calls begun"),
    Column("takeovers", Integer, nullable=False, server_default="0", comment="Times a worker died holding it"),
    # No foreign key: its check would lock the result row on the hot path, in the statement that inserts both.
    Column("alone", Boolean, nullable=False, server_default="false", comment="Run with nothing else in hand"),
    Column("result_id", BigInteger, comment="The row of integration_service"),
    Column("error_category", Text),
    Column("error_reason", Text),
    Column("waiters", JSONB, nullable=False, server_default="[]", comment='[{"reply_to", "correlation_id"}] to tell'),
    Column("claim_token", BigInteger, comment="The delivery that holds it"),
    Column("life", BigInteger, comment="The worker_life in whose hands it is; NULL: in nobody's"),
    Column("wake_at", DateTime(timezone=True), comment="When the scheduler looks at it; NULL: never"),
    Column("wakes", SmallInteger, nullable=False, server_default="0", comment="Wake-ups sent without effect"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("replays", Integer, nullable=False, server_default="0", comment="Times an operator had it tried again"),
    Column("replayed_at", DateTime(timezone=True), comment="From when on its age counts; NULL: from created_at"),
    Column("dropped_at", DateTime(timezone=True), comment="When an operator gave up a failed task"),
    # Room in the page for the two updates that most rows get.
    postgresql_with={"fillfactor": 70},
)

task_attempt = Table(
    "task_attempt",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("task_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("category", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("answer", Text, comment="What the provider said, shortened, secrets out"),
    comment="Tries that failed",
)

Index("ix_task_attempt_task", task_attempt.c.task_id, task_attempt.c.id)

Index("ix_task_created", task.c.created_at, task.c.task_id)
Index("ix_task_not_done", task.c.created_at, task.c.task_id, postgresql_where=text("status <> 'done'"))
Index("ix_task_failed", task.c.updated_at, task.c.task_id, postgresql_where=text("status = 'failed'"))
Index("ix_task_wake", task.c.wake_at, postgresql_where=text("wake_at IS NOT NULL"))
Index("ix_task_in_hand", task.c.life, postgresql_where=text("life IS NOT NULL"))

worker_life = Table(
    "worker_life",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("worker", Text, nullable=False, comment="host:pid"),
    Column("beats", BigInteger, nullable=False, server_default="0", comment="Grows by one with each heartbeat"),
    Column("born_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("beat_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

provider = Table(
    "provider",
    metadata,
    Column("name", Text, primary_key=True),
    Column("permits", JSONB, nullable=False, server_default="{}", comment="Calls that count, by worker_life"),
    Column("line_at", DateTime(timezone=True), comment="Until when tasks set aside are lined up"),
    Column(
        "circuit_opened",
        Integer,
        nullable=False,
        server_default="0",
        comment="Pauses in a row; 0: the circuit is closed",
    ),
    Column("circuit_since", DateTime(timezone=True)),
    Column("circuit_until", DateTime(timezone=True)),
    Column("circuit_pause", Interval),
    Column("circuit_category", Text),
    Column("circuit_reason", Text),
    Column("probe_until", DateTime(timezone=True), comment="While somebody probes"),
    # A few rows that change many times a second: they stay in their page.
    postgresql_with={"fillfactor": 10},
)

user_role = Enum(*(member.value for member in Role), name="user_role", metadata=metadata)

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("email", Text, nullable=False, comment="As its owner writes it"),
    Column("email_key", Text, nullable=False, comment="By which it is found: small letters"),
    Column("password_hash", Text, nullable=False, comment="Argon2id"),
    Column("role", user_role, nullable=False),
    Column("disabled_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("email_key", name="uq_users_email_key"),
)

session = Table(
    "session",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("expires_at", DateTime(timezone=True), nullable=False, comment="Later with each refresh; then it is over"),
    Column(
        "ended_at",
        DateTime(timezone=True),
        comment="By logout, a new password, a disabled user, or a refresh token used twice",
    ),
)

Index("ix_session_user", session.c.user_id)

refresh_token = Table(
    "refresh_token",
    metadata,
    Column("hash", BYTEA, primary_key=True, comment="SHA-256"),
    Column("session_id", BigInteger, ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
    Column("used_at", DateTime(timezone=True), comment="Used again, it ends its session"),
)

Index("ix_refresh_token_session", refresh_token.c.session_id)

password_reset = Table(
    "password_reset",
    metadata,
    Column("hash", BYTEA, primary_key=True, comment="SHA-256"),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

Index("ix_password_reset_user", password_reset.c.user_id)

login_throttle = Table(
    "login_throttle",
    metadata,
    Column("key", Text, primary_key=True, comment="account:… or address:…"),
    Column("failures", Integer, nullable=False, server_default="0", comment="In a row, those under way too"),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("closed_until", DateTime(timezone=True), nullable=False),
)

Index("ix_login_throttle_last", login_throttle.c.last_at)

api_key = Table(
    "api_key",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", BYTEA, nullable=False, comment="SHA-256 of a key of 256 random bits"),
    Column("hint", Text, nullable=False, comment="Its last characters"),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("last_used_at", DateTime(timezone=True), comment="Within a minute or so"),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("hash", name="uq_api_key_hash"),
)

Index("ix_api_key_user", api_key.c.user_id, api_key.c.created_at, api_key.c.id)

# No foreign keys: what was done stays known, whatever becomes of those who did it.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("user_id", BigInteger, comment="Who; NULL: an operator at the command line"),
    Column("api_key_id", BigInteger, comment="With which key; NULL: in person"),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("object_id", BigInteger),
    Column("detail", JSONB, nullable=False, server_default="{}"),
)

Index("ix_audit_entry_at", audit_entry.c.at, audit_entry.c.id)
Index("ix_audit_entry_object", audit_entry.c.object, audit_entry.c.object_id, audit_entry.c.id)

contact = Table(
    "contact",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, nullable=False, comment="The user it belongs to"),
    Column("name", Text, nullable=False),
    Column("phone", Text(collation="C"), comment="E.164"),
    Column("email", Text(collation="C")),
    Column("telegram_chat_id", Text, comment="A number, or @channelname"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("timezone", Text, comment="IANA"),
    Column("operator_code", Text, comment="Of a Russian number: the three digits after +7"),
    Column("operator", Text, comment="Its name, as Dadata says it"),
    Column("attributes", JSONB, nullable=False, server_default="{}", comment="For templates"),
    Column("consent", Boolean, comment="NULL: nobody said"),
    Column("consent_at", DateTime(timezone=True)),
    Column("quality_code", SmallInteger, comment="Dadata's qc of the phone"),
)

Index("ix_contact_owner", contact.c.owner_id, contact.c.id)
Index(
    "uq_contact_phone",
    contact.c.owner_id,
    contact.c.phone,
    unique=True,
    postgresql_where=text("phone IS NOT NULL"),
)
Index(
    "uq_contact_email",
    contact.c.owner_id,
    text("lower(email)"),
    unique=True,
    postgresql_where=text("email IS NOT NULL"),
)
Index(
    "ix_contact_name",
    contact.c.owner_id,
    text("lower(name)"),  # and compared as bytes, which Alembic does not see
    contact.c.id,
    postgresql_where=text("name <> ''"),
)
Index(
    "ix_contact_operator_code",
    contact.c.owner_id,
    contact.c.operator_code,
    contact.c.id,
    postgresql_where=text("operator_code IS NOT NULL"),
)
Index(
    "ix_contact_timezone",
    contact.c.owner_id,
    contact.c.timezone,
    contact.c.id,
    postgresql_where=text("timezone IS NOT NULL"),
)

contact_tag = Table(
    "contact_tag",
    metadata,
    Column("owner_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    Column("contact_id", BigInteger, primary_key=True, autoincrement=False),
    comment="contact.tags, in the order of lists; kept by triggers",
)

audience = Table(
    "audience",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("filter", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

Index("uq_audience_name", audience.c.owner_id, audience.c.name, unique=True)

contact_question = Table(
    "contact_question",
    metadata,
    Column(
        "contact_id", BigInteger, ForeignKey("contact.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("task_id", BigInteger, nullable=False, comment="Under which its phone is looked up"),
    Column("phone", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column(
        "due_at",
        DateTime(timezone=True),
        server_default=func.clock_timestamp(),
        comment="When to look for the answer; NULL: it is over",
    ),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("failure", Text, comment="Why there is no answer, for a person"),
    comment="What a provider is asked about a contact's phone",
)

Index("ix_contact_question_due", contact_question.c.due_at, postgresql_where=text("due_at IS NOT NULL"))

contact_import = Table(
    "contact_import",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("file_key", Text, nullable=False, comment="Where the file is stored"),
    Column("size", BigInteger, nullable=False, comment="Bytes"),
    Column("options", JSONB, nullable=False, comment="How the file is read, and what is done with it"),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("checking", Boolean, nullable=False, comment="Goes through the file, and writes no contact"),
    Column("progress", Float(53), nullable=False, server_default="0", comment="Of the file, 0 to 1"),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in ("position", "row", "rows", "created", "updated", "unchanged", "skipped", "rejected")
    ),
    Column("life", BigInteger, comment="The worker_life that runs it"),
    Column("deaths", SmallInteger, nullable=False, server_default="0", comment="Of workers, since a block"),
    Column(
        "wake_at",
        DateTime(timezone=True),
        server_default=func.clock_timestamp(),
        comment="When the scheduler looks at it; NULL: never",
    ),
    Column("wakes", SmallInteger, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("file_gone", Boolean, nullable=False, server_default="false"),
    postgresql_with={"fillfactor": 50},
)

Index("ix_contact_import_owner", contact_import.c.owner_id, contact_import.c.id)
Index("ix_contact_import_wake", contact_import.c.wake_at, postgresql_where=text("wake_at IS NOT NULL"))
Index("ix_contact_import_in_hand", contact_import.c.life, postgresql_where=text("life IS NOT NULL"))

contact_import_reject = Table(
    "contact_import_reject",
    metadata,
    Column(
        "import_id",
        BigInteger,
        ForeignKey("contact_import.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("row", BigInteger, primary_key=True, autoincrement=False, comment="As the file's reader counts"),
    Column("column", Text, nullable=False),
    Column("value", Text, nullable=False, comment="Its beginning"),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    comment="Rows that an import did not take",
)

channel = Table(
    "channel",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False, comment="TELEGRAM, EMAIL…"),
    Column("configuration", JSONB, nullable=False, comment="Without its secrets"),
    Column("secrets", Text, comment="The others, as an encrypted JSON object; NULL: there are none"),
    Column("enabled", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("rate_per_second", Float(53), comment="Messages, over all workers; NULL: as the setting of its type says"),
    Column("self_test_every", Integer, comment="Seconds; NULL: it does not test itself"),
    Column("self_tested_at", DateTime(timezone=True), comment="When the last self-test began"),
    Column("last_test", JSONB, comment="What came of the last test: at, ok, step, reason"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

Index("ix_channel_owner", channel.c.owner_id, channel.c.created_at, channel.c.id)
Index("ix_channel_self_test", channel.c.self_tested_at, postgresql_where=text("self_test_every > 0"))
Index("uq_channel_default", channel.c.owner_id, unique=True, postgresql_where=text("is_default"))

notification = Table(
    "notification",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, nullable=False, comment="The user it belongs to"),
    Column("recipient", JSONB, nullable=False, comment="The addresses, as they were when it was handed in"),
    Column("contact_id", BigInteger, comment="The contact that the addresses were taken from"),
    Column("text", Text, nullable=False),
    Column("subject", Text),
    Column("username", Text),
    Column("event", JSONB, nullable=False, server_default="{}", comment="Passed on to webhooks and bots"),
    Column("route", ARRAY(BigInteger), nullable=False, server_default="{}", comment="Empty: the default order"),
    Column("deadline", DateTime(timezone=True)),
    Column("fallback_after", Interval),
    Column("notify_result", Boolean, nullable=False, server_default="false"),
    Column("held", Boolean, nullable=False, server_default="false", comment="Waits to be released"),
    Column("cancelled", Boolean, nullable=False, server_default="false"),
    Column("status", Text, nullable=False),
    Column("reason", Text, comment="The decision it rests on, for a person"),
    Column("channel_id", BigInteger, comment="The channel its end is about; 0: an operator's"),
    Column("channel_type", Text),
    Column("round", Integer, nullable=False, server_default="1", comment="Grows with each retry by hand"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Rows of attempt"),
    Column("told", Text, comment="The status that was told as its end"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="Grows with each change"),
    Column("stamp", BigInteger, comment="Whose change was the last"),
    Column("life", BigInteger, comment="The worker_life in whose hands it is; NULL: in nobody's"),
    Column("due_at", DateTime(timezone=True), comment="When something has to be done about it; NULL: never"),
    Column("wake_at", DateTime(timezone=True), comment="When the scheduler looks at it; NULL: never"),
    Column("wakes", SmallInteger, nullable=False, server_default="0", comment="Wake-ups sent without effect"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("sent_at", DateTime(timezone=True), comment="When a provider first took it"),
    Column("finished_at", DateTime(timezone=True)),
    Column("campaign_id", BigInteger, comment="NULL: it was asked for by itself"),
    Column("zone", Text, comment="The recipient's, where the campaign has a window"),
    Column("erased_at", DateTime(timezone=True), comment="When its person was erased"),
    postgresql_with={"fillfactor": 70},
)

Index(
    "uq_notification_campaign",
    notification.c.campaign_id,
    notification.c.contact_id,
    unique=True,
    postgresql_where=text("campaign_id IS NOT NULL"),
)
Index(
    "ix_notification_contact",
    notification.c.contact_id,
    notification.c.id,
    postgresql_where=text("contact_id IS NOT NULL"),
)
Index("ix_notification_owner", notification.c.owner_id, notification.c.created_at, notification.c.id)
Index("ix_notification_wake", notification.c.wake_at, postgresql_where=text("wake_at IS NOT NULL"))

Index("ix_notification_in_hand", notification.c.life, postgresql_where=text("life IS NOT NULL"))

attempt = Table(
    "attempt",
    metadata,
    Column("notification_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, nullable=False),
    Column("reference", Text, nullable=False, comment="Names it in callbacks"),
    Column("channel_id", BigInteger, nullable=False, comment="0: an operator's channel"),
    Column("channel_type", Text, nullable=False),
    Column("channel_name", Text, nullable=False),
    Column("to", Text, comment="NULL: the channel's own destination"),
    Column("why", Text, nullable=False, comment="The decision that began it"),
    Column("state", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("counted_from", DateTime(timezone=True), comment="Since when a delivery receipt is missing"),
    Column("provider_id", Text),
    Column("parts", Integer, nullable=False),
    Column("refusal", Text),
    Column("code", Text, comment="The provider's own"),
    Column("reason", Text),
    Column("hint", Text),
    Column("retry_after", Float(53), comment="Seconds the provider asked us to wait"),
    Column("asked", Integer, nullable=False, comment="Times the provider was asked what became of it"),
    Column("asked_at", DateTime(timezone=True)),
    Column("held", Boolean, nullable=False, comment="The provider keeps it back"),
    Column("events", JSONB, nullable=False, comment="Its story"),
    postgresql_with={"fillfactor": 70},
)

Index(
    "ix_attempt_provider_id",
    attempt.c.channel_id,
    attempt.c.provider_id,
    postgresql_where=text("provider_id IS NOT NULL AND channel_type = 'SMS_SMPP'"),
)

Index(
    "ix_attempt_operator",
    attempt.c.to,
    attempt.c.channel_type,
    postgresql_where=text("channel_id = 0"),
)

notification_key = Table(
    "notification_key",
    metadata,
    Column("owner_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True, comment="Chosen by the sender"),
    Column("digest", Text, nullable=False, comment="Of everything else that was handed in"),
    Column("notification_id", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    comment="Idempotency keys, for seven days",
)

Index("ix_notification_key_created", notification_key.c.created_at)

stray_receipt = Table(
    "stray_receipt",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("receipt", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    comment="Receipts that came before the commit that knows their message",
)

Index("ix_stray_receipt", stray_receipt.c.channel_id, stray_receipt.c.provider_id)

early_receipt = Table(
    "early_receipt",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("reference", Text, nullable=False),
    Column("receipt", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    comment="Receipts that came before the commit that knows their attempt",
)

Index("ix_early_receipt", early_receipt.c.reference)

channel_pause = Table(
    "channel_pause",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    comment="Channels whose provider asked to be left in peace",
)

chat_link = Table(
    "chat_link",
    metadata,
    Column(
        "contact_id", BigInteger, ForeignKey("contact.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("code", BYTEA, nullable=False, comment="SHA-256 of what the person sends with /start"),
    Column("owner_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False, comment="Whose bot; 0: the operator's"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("code", name="uq_chat_link_code"),
)

template = Table(
    "template",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, comment="The latest"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("owner_id", "name", name="uq_template_name"),
)

Index("ix_template_owner", template.c.owner_id, template.c.created_at, template.c.id)

template_version = Table(
    "template_version",
    metadata,
    Column(
        "template_id", BigInteger, ForeignKey("template.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text),
    Column("body", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

suppression = Table(
    "suppression",
    metadata,
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True, comment="phone, email or telegramChatId"),
    Column("address", Text, primary_key=True, comment="In lower case"),
    Column("id", BigInteger, Identity(), nullable=False),
    Column("reason", Text),
    Column("source", Text, nullable=False, comment="manual, import, stop-reply or provider"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

Index("ix_suppression_owner", suppression.c.owner_id, suppression.c.id, unique=True)

heeded_message = Table(
    "heeded_message",
    metadata,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False, comment="0: the operator's"),
    Column("provider_id", Text, primary_key=True),
    Column("heeded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    comment="Answers of people that were heeded, for 30 days, so that a repetition changes nothing",
)

Index("ix_heeded_message", heeded_message.c.heeded_at)

campaign = Table(
    "campaign",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False, comment="With its variables, where it has some"),
    Column("subject", Text),
    Column("template_id", BigInteger),
    Column("template_version", Integer),
    Column("variables", Boolean, nullable=False, comment="Rendered for each recipient"),
    Column("audience", JSONB, nullable=False),
    Column("route", ARRAY(BigInteger), nullable=False, server_default="{}"),
    Column("fallback_after", Interval),
    Column("start_at", DateTime(timezone=True)),
    Column("end_at", DateTime(timezone=True), comment="Nothing leaves from then on"),
    Column("send_window", JSONB, comment="Local time of each recipient"),
    Column("rate", Float(53), comment="Messages a second"),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("key", Text, comment="The sender's mark, under which it is made once"),
    Column("total", BigInteger, nullable=False, server_default="0", comment="Notifications made so far"),
    Column("zones", ARRAY(Text), comment="Of a window: those still to be fanned out, the first one now"),
    Column("fanned_to", BigInteger, nullable=False, server_default="0", comment="The last contact's id"),
    Column("fanned_out_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True), comment="It ended early, and so did its messages that were not begun"),
    Column("life", BigInteger, comment="The worker_life that fans it out or closes it"),
    Column("stamp", BigInteger, comment="Whose change was the last"),
    Column("wake_at", DateTime(timezone=True), comment="When the scheduler looks at it; NULL: never"),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    # No foreign key: what was sent to it is still told when it is gone.
    Column("audience_id", BigInteger, comment="A saved audience, which is taken as it is at the start"),
    UniqueConstraint("owner_id", "key", name="uq_campaign_key"),
)

Index("ix_campaign_owner", campaign.c.owner_id, campaign.c.id)
Index("ix_campaign_wake", campaign.c.wake_at, postgresql_where=text("wake_at IS NOT NULL"))
Index("ix_campaign_running", campaign.c.id, postgresql_where=text("status = 'running'"))
Index("ix_campaign_end", campaign.c.end_at, postgresql_where=text("status IN ('running', 'paused')"))

campaign_chunk = Table(
    "campaign_chunk",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("campaign_id", BigInteger, ForeignKey("campaign.id", ondelete="CASCADE"), nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("mark", BigInteger, nullable=False, comment="The last notification whose sending was begun"),
    Column("marked_at", DateTime(timezone=True)),
    Column("zone", Text, comment="The recipients' time zone, where the campaign has a window"),
    Column(
        "due_at",
        DateTime(timezone=True),
        nullable=False,
        comment="Not to be sent before: the window opens, or its turn comes",
    ),
    Column("closes_at", DateTime(timezone=True), comment="When the window closes"),
    Column("life", BigInteger, comment="The worker_life that sends it"),
    Column("stamp", BigInteger),
    Column("wake_at", DateTime(timezone=True), comment="When the scheduler wakes it; NULL: it is in hand, or done"),
    Column("done_at", DateTime(timezone=True)),
    postgresql_with={"fillfactor": 50},
)

Index("ix_campaign_chunk_campaign", campaign_chunk.c.campaign_id, campaign_chunk.c.id)
Index(
    "ix_campaign_chunk_left",
    campaign_chunk.c.campaign_id,
    campaign_chunk.c.id,
    postgresql_where=text("done_at IS NULL"),
)
Index("ix_campaign_chunk_wake", campaign_chunk.c.wake_at, postgresql_where=text("wake_at IS NOT NULL"))
Index("ix_campaign_chunk_in_hand", campaign_chunk.c.life, postgresql_where=text("life IS NOT NULL"))

campaign_count = Table(
    "campaign_count",
    metadata,
    Column("campaign_id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    comment="How many notifications of a campaign have each status; kept by triggers of notification",
    postgresql_with={"fillfactor": 50},
)

erasure = Table(
    "erasure",
    metadata,
    Column("owner_id", BigInteger, primary_key=True, autoincrement=False),
    Column("contact_id", BigInteger, primary_key=True, autoincrement=False),
    Column("task_ids", ARRAY(BigInteger), nullable=False, comment="Under which its phones were looked up"),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("done_at", DateTime(timezone=True), comment="When the contact was gone"),
    comment="Contacts whose persons were erased: what still comes in of them is erased for some days",
)

Index("ix_erasure_asked", erasure.c.asked_at)
