"""Every call a provider received, so that a test can count what was asked, of whom and how often."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-secret", "x-api-key", "cookie"})
LONGEST_INPUT = 1000


@dataclass(slots=True)
class Entry:
    """One call. It is written when the call arrives, and completed when it ends.

    `outcome`: in_progress, answered, refused (by the provider's own rules), faulted, client_gone.
    `status`: HTTP status or gRPC status name; None where the client got none.
    """

    seq: int
    time: str
    provider: str
    operation: str
    input: str | None
    status: int | str | None
    outcome: str
    fault: str | None
    headers: dict[str, str]

    def end(self, outcome: str, status: int | str | None = None) -> None:
        self.outcome = outcome
        self.status = status


class Journal:
    """Bounded: the oldest entries are dropped, and their number is shown."""

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._seq = 0
        self.dropped = 0

    def open(self, provider: str, operation: str, headers: dict[str, str], fault: str | None) -> Entry:
        if len(self._entries) == self._entries.maxlen:
            self.dropped += 1
        self._seq += 1
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        entry = Entry(self._seq, now, provider, operation, None, None, "in_progress", fault, headers)
        self._entries.append(entry)
        return entry

    def clear(self) -> None:
        """Sequence numbers go on, so that `since` stays meaningful."""
        self._entries.clear()
        self.dropped = 0

    def select(self, **wanted: str | int | None) -> Iterator[Entry]:
        """Entries whose fields equal those given, oldest first; `since` leaves out that number and all before it."""
        since = int(wanted.pop("since", None) or 0)
        fields = {name: value for name, value in wanted.items() if value is not None}
        if isinstance(text := fields.get("input"), str):
            fields["input"] = abbreviate(text)
        for entry in self._entries:
            if entry.seq > since and all(getattr(entry, name) == value for name, value in fields.items()):
                yield entry

    def listing(self, limit: int, **wanted: str | int | None) -> dict[str, Any]:
        """The newest `limit` of the entries wanted, oldest first."""
        entries = deque(self.select(**wanted), maxlen=limit)
        return {"entries": [asdict(entry) for entry in entries], "last_seq": self._seq, "dropped": self.dropped}

    def counts(self, **wanted: str | int | None) -> dict[str, Any]:
        entries = list(self.select(**wanted))
        by_input = Counter(entry.input for entry in entries if entry.input is not None)
        return {
            "total": len(entries),
            "by_provider": Counter(entry.provider for entry in entries),
            "by_operation": Counter(entry.operation for entry in entries),
            "by_outcome": Counter(entry.outcome for entry in entries),
            "by_input": by_input,
            "repeated": {text: count for text, count in by_input.items() if count > 1},
            "dropped": self.dropped,
        }


def abbreviate(text: str) -> str:
    """A long input is kept as its beginning and a digest, which still tells two of them apart."""
    if len(text) <= LONGEST_INPUT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:LONGEST_INPUT]}… ({len(text)} characters, sha256 {digest})"


@lru_cache(maxsize=2048)
def masked(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """HTTP headers as received, without their secrets. Cached: one client sends the same ones all the time."""
    return mask((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)


def mask(headers: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    return {name: _hide(name, value if isinstance(value, str) else value.hex()) for name, value in headers}


def _hide(name: str, value: str) -> str:
    if name.lower() not in SECRET_HEADERS:
        return value
    scheme, space, secret = value.rpartition(" ")
    return f"{scheme}{space}***{secret[-4:] if len(secret) >= 12 else ''}"
