"""What is removed after its time, put together."""

from collections.abc import Callable
from datetime import timedelta

from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.retention import PostgresExpiring
from gonets.core.shared.retention import RemoveExpired, Retention
from gonets.settings import Retention as RetentionSettings


def remove_expired(pool: Pool, settings: RetentionSettings, observe: Callable[[str, int], None]) -> RemoveExpired:
    """A kind that is kept for ever is not there."""
    days = {"attempts": settings.attempts, "notifications": settings.notifications, "audit": settings.audit}
    days["results" if settings.results else "tasks"] = settings.tasks and max(settings.tasks, settings.results)
    kept = [Retention(kind, PostgresExpiring(pool, kind), timedelta(days=age)) for kind, age in days.items() if age]
    return RemoveExpired(kept, observe)
