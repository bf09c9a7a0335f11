"""What the work at hand is about: ids that every log line written meanwhile carries, whoever writes it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_ids: ContextVar[dict[str, int] | None] = ContextVar("concerning", default=None)


@contextmanager
def concerning(**ids: int | None) -> Iterator[None]:
    """`notification_id=7`; None names nothing. Within another one, both hold. What is begun inside and goes on
    afterwards (a connection that is kept, say) is about nothing from then on."""
    found = {**(_ids.get() or {}), **{name: number for name, number in ids.items() if number is not None}}
    mark = _ids.set(found)
    try:
        yield
    finally:
        _ids.reset(mark)
        found.clear()


def concerned() -> Mapping[str, int]:
    """What the work at hand is about, by the names of the fields."""
    return _ids.get() or {}
