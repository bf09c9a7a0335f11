"""The process that reads a file of contacts, put together: it starts for each file, so it loads little."""

import sys

from gonets.adapters.files import child
from gonets.adapters.phones import PhoneNumbers, operator_code_of, timezone_of
from gonets.adapters.postgres.copying import fault_line, row_line

BLOCK = 20_000  # rows


class About:
    """What a phone says. Of Russian mobile numbers, by their first digits once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, str | None]] = {}

    def __call__(self, phone: str) -> tuple[str | None, str | None]:
        start = phone[:5]
        found = self._known.get(start)
        if found is None:
            found = operator_code_of(phone), timezone_of(phone)
            if start.startswith("+79"):
                self._known[start] = found
        return found


def program(region: str) -> tuple[str, ...]:
    """The arguments of a Python that runs this."""
    return "-m", "gonets.entrypoints.read_file", region


def main() -> None:
    child.main(child.Reading(PhoneNumbers(sys.argv[1]), About(), row_line, fault_line, BLOCK))
