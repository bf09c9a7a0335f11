"""Rows of a file as lines of COPY's text format (PostgreSQL, "COPY: Text Format")."""

import json
from functools import lru_cache

from gonets.core.contacts.rows import Fault, Row

STAGED = (
    "row",
    "name",
    "phone",
    "email",
    "telegram_chat_id",
    "tags",
    "timezone",
    "likely",
    "operator_code",
    "attributes",
    "consent",
)
FAULTS = ("row", "column", "value", "code", "reason")

_NULL = "\\N"
_SPECIAL = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def row_line(number: int, row: Row) -> str:
    """What was checked holds no control characters, but may hold backslashes."""
    name, phone, email, chat, tags, zone, likely, code, attributes, consent = row
    if name is not None and "\\" in name:
        name = name.translate(_SPECIAL)
    if email is not None and "\\" in email:
        email = email.translate(_SPECIAL)
    return (
        f"{number}\t{_NULL if name is None else name}\t{phone or _NULL}\t{email or _NULL}\t{chat or _NULL}"
        f"\t{_NULL if tags is None else _tags(tags)}\t{zone or _NULL}\t{likely or _NULL}\t{code or _NULL}"
        f"\t{json.dumps(attributes, ensure_ascii=False).translate(_SPECIAL) if attributes else _NULL}"
        f"\t{_NULL if consent is None else consent}\n"
    )


def fault_line(number: int, fault: Fault) -> str:
    return "\t".join([str(number), *(part.translate(_SPECIAL) for part in fault)]) + "\n"


@lru_cache(4096)
def _tags(tags: tuple[str, ...]) -> str:
    quoted = (tag.replace("\\", "\\\\").replace('"', '\\"') for tag in tags)
    return "{" + ",".join(f'"{tag}"' for tag in quoted).translate(_SPECIAL) + "}"
