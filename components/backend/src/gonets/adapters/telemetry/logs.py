"""Log lines: JSON for machines in production, one readable line in development. Facts are fields, not prose."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, *, as_json: bool) -> None:
    """One handler for the whole process, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else ReadableFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Their lines repeat, for each request or frame, what ours say of each outcome.
    for noisy in ("aiormq", "aio_pika", "uvicorn.access", "httpx", "httpcore", "grpc", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ReadableFormatter(logging.Formatter):
    """Time, level and message, then the facts as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f"  {name}={value}" for name, value in _facts(record).items())
        line = f"{_time(record)[11:23]} {record.levelname:<7} {record.name}: {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line
