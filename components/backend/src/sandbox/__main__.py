"""`python -m sandbox`: read the environment, start, run until told to stop."""

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C core writes to stderr by itself; before its import

import uvloop

from sandbox.app import Sandbox
from sandbox.settings import SettingError, read_settings

STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


async def run() -> None:
    sandbox = Sandbox(read_settings())
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    await sandbox.start()
    # Journals and inboxes are kept on purpose. To look through all of them takes half a second when they are long, in
    # which every provider would stand still: a fault that nobody asked for.
    gc.freeze()
    gc.set_threshold(700, 10, 1000)
    await told_to_stop.wait()
    await sandbox.stop()


def main() -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's: the journal says it better
    try:
        uvloop.run(run())
    except SettingError as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 - one line for a person, not for a log
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
