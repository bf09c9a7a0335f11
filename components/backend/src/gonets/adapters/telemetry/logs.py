"""Log lines: JSON for machines in production, one readable line in development. Facts are fields, not prose."""

import json
import logging
import sys
from datetime import UTC, datetime

from gonets.core.shared.concerning import concerned
from gonets.core.shared.masking import NOTHING, Masking
from gonets.core.tasks.model import JSON

_NOISY = (
    *("aiormq", "aio_pika", "uvicorn.access", "httpx", "httpcore", "grpc", "yandex_ai_studio_sdk"),
    *("opentelemetry", "urllib3", "asyncio", "alembic"),
)
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, *, as_json: bool, masking: Masking = NOTHING) -> None:
    """One handler for the whole process, on standard error. No secret that `masking` knows gets past it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(masking) if as_json else ReadableFormatter(masking))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # No line shows where it was written, by which thread and process, and finding out costs two fifths of a line. These
    # are the switches for it: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Their lines repeat, for each request or frame, what ours say of each outcome.
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    return {**concerned(), **own}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the facts."""

    def __init__(self, masking: Masking = NOTHING) -> None:
        super().__init__()
        self._masking = masking

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, JSON] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: _plain(value) for name, value in _facts(record).items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(self._masking.json(line))


def _plain(value: object) -> JSON:
    """As JSON: what is no JSON by itself as its words, so that nothing is written that was not looked at."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple | set) else str(value)


class ReadableFormatter(logging.Formatter):
    """Time, level and message, then the facts as name=value."""

    def __init__(self, masking: Masking = NOTHING) -> None:
        super().__init__()
        self._masking = masking

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f"  {name}={value}" for name, value in _facts(record).items())
        line = f"{_time(record)[11:23]} {record.levelname:<7} {record.name}: {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self._masking.text(line)
