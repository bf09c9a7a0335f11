"""What reached people: every message that a provider took, as its receiver would see it."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """`to` and `sender` are addresses as the receiver's device shows them; `details` is what else there is to see or to
    test: a webhook's whole payload, the headers of a mail, in how many parts an SMS came."""

    seq: int
    time: str
    provider: str
    to: str
    sender: str
    subject: str | None
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Inbox:
    """Bounded: the oldest messages are dropped."""

    def __init__(self, size: int = 10_000) -> None:
        self._messages: deque[Message] = deque(maxlen=size)
        self._seq = 0

    def add(
        self, provider: str, *, to: str, sender: str, text: str, subject: str | None = None, details: Any = None
    ) -> Message:
        self._seq += 1
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        message = Message(self._seq, now, provider, to, sender, subject, text, details or {})
        self._messages.append(message)
        return message

    def clear(self) -> None:
        """Sequence numbers go on, so that `since` stays meaningful."""
        self._messages.clear()

    def select(self, *, provider: str | None = None, to: str | None = None, since: int = 0) -> Iterator[Message]:
        """Oldest first; `since` leaves out that number and all before it."""
        for message in self._messages:
            if message.seq > since and provider in (None, message.provider) and to in (None, message.to):
                yield message

    def listing(self, limit: int, **wanted: Any) -> dict[str, Any]:
        """The newest `limit` of the messages wanted, oldest first."""
        messages = deque(self.select(**wanted), maxlen=limit)
        return {"messages": [asdict(message) for message in messages], "last_seq": self._seq}
