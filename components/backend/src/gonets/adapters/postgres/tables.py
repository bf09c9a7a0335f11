"""The tables as they are after all migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

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
    Column(
        "next_slot_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.clock_timestamp(),
        comment="The first moment that is not reserved",
    ),
    Column("permits", JSONB, nullable=False, server_default="{}", comment="Calls in flight, by worker_life"),
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
