"""Rows of a file as lines of COPY's text format (PostgreSQL, "COPY: Text Format")."""

import json
from functools import lru_cache

from gonets.core.contacts.rows import Fault, Row

CONTACT = (
    "name",
    "phone",
    "email",
    "telegram_chat_id",
    "tags",
    "timezone",
    "operator_code",
    "attributes",
    "consent",
    "consent_at",
)
"""Of the table, with what a row that says nothing gets."""
KEYS = ("row", "phone", "email")
FAULTS = ("row", "column", "value", "code", "reason")

_NULL = "\\N"
_SPECIAL = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def row_line(row: Row) -> str:
    """What was checked holds no control characters, but may hold backslashes."""
    name, phone, email, chat, tags, zone, code, attributes, consent = row
    if name is not None and "\\" in name:
        name = name.translate(_SPECIAL)
    return (
        f"{name or ''}\t{phone or _NULL}\t{_email(email)}\t{chat or _NULL}\t{_tags(tags) if tags else '{}'}"
        f"\t{zone or _NULL}\t{code or _NULL}\t{_attributes(attributes) if attributes else '{}'}"
        f"\t{_NULL if consent is None else consent}\t{_NULL if consent is None else 'now'}\n"
    )


def key_line(number: int, row: Row) -> str:
    return f"{number}\t{row.phone or _NULL}\t{_email(row.email)}\n"


def fault_line(number: int, fault: Fault) -> str:
    return "\t".join([str(number), *(part.translate(_SPECIAL) for part in fault)]) + "\n"


def _email(email: str | None) -> str:
    if email is None:
        return _NULL
    return email.translate(_SPECIAL) if "\\" in email else email


def _attributes(attributes: object) -> str:
    return json.dumps(attributes, ensure_ascii=False).translate(_SPECIAL)


@lru_cache(4096)
def _tags(tags: tuple[str, ...]) -> str:
    quoted = (tag.replace("\\", "\\\\").replace('"', '\\"') for tag in tags)
    return "{" + ",".join(f'"{tag}"' for tag in quoted).translate(_SPECIAL) + "}"
