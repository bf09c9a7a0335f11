"""What an e-mail address and a Telegram chat look like."""

import re
import unicodedata

from gonets.core.shared.errors import Invalid

# RFC 5321, 4.5.3.1: lengths. The shape is looser than the standards, for only a message that arrives proves an address.
_LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_](?:[\w-]{0,61}[^\W_])")
_CHAT = re.compile(r"-?[1-9][0-9]{0,18}|@[A-Za-z][A-Za-z0-9_]{3,31}")


def email(field: str, text: str) -> str:
    """The address without the spaces around it; letters of any alphabet. Raises Invalid."""
    found = unicodedata.normalize("NFC", text.strip())
    local = found.partition("@")[0]
    if (
        len(found) > _LONGEST_EMAIL
        or not _EMAIL.fullmatch(found)
        or not found.isprintable()
        or local.startswith(".")
        or local.endswith(".")
        or ".." in local
    ):
        raise Invalid(field, "must be an e-mail address such as anna@example.com")
    return found


def telegram_chat_id(field: str, value: str | int) -> str:
    """The chat's number as text, or @channelname. Raises Invalid."""
    found = str(value).strip()
    if not _CHAT.fullmatch(found):
        raise Invalid(field, "must be the number of a chat, such as 123456789 or -1001234567890, or @channelname")
    return found
