"""Where a page of a list ends: a time and a task_id, opaque to whoever hands it back."""

import base64
import binascii
from datetime import UTC, datetime

from gonets.core.shared.errors import Invalid


def to_cursor(time: datetime, task_id: int) -> str:
    return base64.urlsafe_b64encode(f"{time.isoformat()} {task_id}".encode()).decode()


def from_cursor(cursor: str) -> tuple[datetime, int]:
    """Raises Invalid for what is none of ours."""
    try:
        time, _, task_id = base64.urlsafe_b64decode(cursor.encode("ascii")).decode().partition(" ")
        place = datetime.fromisoformat(time), int(task_id)
        if place[0].tzinfo is not None and 0 < place[1] < 2**63:
            return place[0].astimezone(UTC), place[1]
    except (ValueError, OverflowError, UnicodeError, binascii.Error):
        pass
    raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
