"""What Twilio calls us with, signed with the account's auth token: status callbacks, and what people write.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from gonets.adapters.providers.http_kind import words
from gonets.adapters.providers.twilio_codes import receipt
from gonets.core.channels.model import Incoming, Receipt, UnknownStatus
from gonets.core.shared.errors import Invalid


def callback(url: str, body: bytes, signature: str, auth_token: str) -> Receipt | UnknownStatus | None:
    """A status callback, POSTed to `url`: the whole public one that was given as StatusCallback, query included. None:
    it is not signed with this token, or no form."""
    said = _said(url, body, signature, auth_token)
    if said is None:
        return None
    status = said.get("MessageStatus", "")
    return receipt(status, said.get("ErrorCode"), said.get("MessageSid")) or UnknownStatus(words(status))


def incoming(url: str, body: bytes, signature: str, auth_token: str) -> Incoming | None:
    """A message that a person sent to a number of the account, POSTed to `url`, the whole public one. None: it is not
    signed with this token, or no form. Raises Invalid where it is signed and says not from whom it came.

    https://www.twilio.com/docs/messaging/guides/webhook-request. Where Advanced Opt-Out is on, OptOutType says what
    Twilio itself made of the message, in whatever language.
    """
    said = _said(url, body, signature, auth_token)
    if said is None:
        return None
    if not said.get("From"):
        raise Invalid("From", "must be given: the number that the message came from")
    text = _OPT_OUT_TYPES.get(said.get("OptOutType", ""), said.get("Body", ""))
    return Incoming(said["From"], text, said.get("MessageSid") or None)


_OPT_OUT_TYPES: Mapping[str, str] = {"STOP": "STOP", "START": "START"}


def _said(url: str, body: bytes, signature: str, auth_token: str) -> Mapping[str, str] | None:
    """The fields of a signed form; None: it is not signed, or no form."""
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200)
    except ValueError:
        return None
    if not signed(url, fields, signature, auth_token):
        return None
    return {name: values[-1] for name, values in fields.items()}


def signed(url: str, fields: Mapping[str, list[str]], signature: str, auth_token: str) -> bool:
    """Of a name that comes several times, each different value counts once. Twilio is not of one mind about whether the
    scheme's own port belongs to the URL."""
    rest = "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return any(
        hmac.compare_digest(_signature(spelling + rest, auth_token), signature.encode(errors="replace"))
        for spelling in _spellings(url)
    )


def _signature(text: str, auth_token: str) -> bytes:
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(errors="replace"), hashlib.sha1).digest())


def _spellings(url: str) -> set[str]:
    parts = urlsplit(url)
    host, colon, port = parts.netloc.rpartition(":")
    if not (colon and port.isdecimal()):
        host, port = parts.netloc, ""
    standard = {"https": "443", "http": "80"}.get(parts.scheme, "")
    if port not in ("", standard):
        return {url}
    with_port = urlunsplit(parts._replace(netloc=f"{host}:{standard}"))
    return {url, urlunsplit(parts._replace(netloc=host)), with_port}
