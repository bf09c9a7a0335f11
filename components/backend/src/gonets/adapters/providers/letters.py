"""Messages as mail (RFC 5322), readable in any alphabet; nothing that is said can become a header."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime, formataddr, getaddresses
from functools import lru_cache

from gonets.adapters.providers.smtp import Letter

_CRLF = "\r\n"
_IN_A_WORD = 45  # octets, which make 60 of the 75 characters that an encoded word may have
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_LINE = 990  # octets; RFC 5322, 2.1.1 allows 998

# Looser than the standards: only a message that arrives proves an address. No quoted local parts.
_ADDRESS = re.compile(
    r"[^\s@<>,;:\"()\[\]\\.]+(?:\.[^\s@<>,;:\"()\[\]\\.]+)*@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)*[^\W_](?:[\w-]{0,61}[^\W_])?"
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whose it is, and its address; the domain in ASCII wherever the part before it is."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@lru_cache(maxsize=1024)
def mailbox(text: str) -> Mailbox:
    """From anna@example.com, or Anna <anna@example.com>. Raises ValueError, with words for a person."""
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters or line breaks")
    found = getaddresses([text])
    if len(found) != 1 or not _ADDRESS.fullmatch(found[0][1]) or len(found[0][1]) > 254 or found[0][1] not in text:
        raise ValueError("must be one e-mail address such as anna@example.com")
    name, address = found[0]
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("must be one e-mail address such as anna@example.com") from None
    return Mailbox(name, f"{local}@{ascii_domain if local.isascii() else domain}")


def letter(*, sender: Mailbox, to: Mailbox, subject: str, text: str, reference: str) -> Letter:
    """`reference` names the letter for ever: its Message-ID holds it. Raises ValueError for a subject that is more than
    one line."""
    if _CONTROL.search(subject):
        raise ValueError("the subject must not contain line breaks or other control characters")
    plain = subject.isascii() and len(subject) < _LONGEST_LINE // 2
    utf8 = not (sender.address.isascii() and to.address.isascii())
    if utf8:
        return Letter(sender.address, to.address, _in_utf8(sender, to, subject, text, reference), utf8=True)
    encoding, body = _body(text)
    head = (
        f"From: {_written(sender)}",
        f"To: {to.address}",
        f"Subject: {subject if plain else _encoded(subject)}",
        f"Date: {format_datetime(datetime.now(UTC))}",
        f"Message-ID: <{reference}@{sender.domain}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        f"Content-Transfer-Encoding: {encoding}",
    )
    return Letter(sender.address, to.address, _CRLF.join((*head, "", body)).encode("ascii"))


@lru_cache(maxsize=1024)
def _written(mailbox: Mailbox) -> str:
    return formataddr((mailbox.name, mailbox.address))


def _encoded(text: str) -> str:
    """As encoded words (RFC 2047), one to a line; email.header does the same in ten times the time."""
    words, octets = [], b""
    for character in text:
        more = character.encode("utf-8", "replace")
        if len(octets) + len(more) > _IN_A_WORD:
            words.append(octets)
            octets = b""
        octets += more
    words.append(octets)
    return f"{_CRLF} ".join(f"=?utf-8?b?{base64.b64encode(word).decode('ascii')}?=" for word in words)


def _in_utf8(sender: Mailbox, to: Mailbox, subject: str, text: str, reference: str) -> bytes:
    """RFC 6532: headers in UTF-8."""
    message = EmailMessage(SMTPUTF8)
    message["From"] = f"{sender.name} <{sender.address}>" if sender.name else sender.address
    message["To"] = to.address
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{reference}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.encode("utf-8", "replace").decode(), charset="utf-8", cte="base64")
    return message.as_bytes()


def _body(text: str) -> tuple[str, str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if text.isascii() and "\0" not in text and max(map(len, lines)) <= _LONGEST_LINE:
        return "7bit", _CRLF.join([*lines, ""])
    octets = base64.b64encode(_CRLF.join(lines).encode("utf-8", "replace")).decode("ascii")
    return "base64", _CRLF.join([*(octets[at : at + 76] for at in range(0, len(octets), 76)), ""])
