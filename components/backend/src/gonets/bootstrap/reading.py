"""The process that reads a file of contacts, put together: it starts for each file, so it loads little."""

import sys

from gonets.adapters.files import child
from gonets.adapters.phones import PhoneNumbers, about
from gonets.adapters.postgres.copying import fault_line, key_line, row_line

BLOCK = 10_000  # rows


class About:
    """What a phone says. Of Russian mobile numbers, by their first digits once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, str | None]] = {}

    def __call__(self, phone: str) -> tuple[str | None, str | None]:
        start = phone[:5]
        found = self._known.get(start)
        if found is None:
            found = about(phone)
            if start.startswith("+79"):
                self._known[start] = found
        return found


def main() -> None:
    child.main(child.Reading(PhoneNumbers(sys.argv[1]), About(), row_line, key_line, fault_line, BLOCK))
