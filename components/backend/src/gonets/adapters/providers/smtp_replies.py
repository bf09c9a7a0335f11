"""What a mail server means by a refusal: RFC 5321 (4.2), RFC 3463 (enhanced codes), RFC 4954 (AUTH), and what Google
and Microsoft document of their own."""

import re
from collections.abc import Mapping
from enum import Enum

from gonets.core.channels.model import Refusal, Refused, Step


class Stage(Enum):
    """Where in the conversation an answer came."""

    GREETING = Step.CONNECT, Refusal.CONFIGURATION, "the mail server does not talk to us"
    TLS = Step.TLS, Refusal.CONFIGURATION, "the mail server refused to begin TLS"
    LOGIN = Step.LOGIN, Refusal.CONFIGURATION, "the mail server refused the credentials"
    SENDER = Step.LOGIN, Refusal.CONFIGURATION, "the mail server does not let this account send as fromEmail"
    RECIPIENT = Step.SEND, Refusal.PERMANENT, "the mail server refused the recipient"
    MESSAGE = Step.SEND, Refusal.PERMANENT, "the mail server refused the message"

    def __init__(self, step: Step, refusal: Refusal, reason: str) -> None:
        self.step = step
        self.refusal = refusal
        """What a code of 500 and above means here, unless the tables know better."""
        self.reason = reason


Meaning = tuple[Refusal, str, str | None]

_AGAIN, _NEVER, _OWNER = Refusal.TEMPORARY, Refusal.PERMANENT, Refusal.CONFIGURATION
_ACCESS = (
    "check username and password; Gmail and Yahoo want an app password, not that of the account, and Outlook wants"
    " SMTP AUTH to be switched on for the mailbox"
)
_LATER = "nothing has to be done: it is tried again later"
_RELAY = "check username and password: a server passes mail on only for those who log in"

_ENHANCED: Mapping[str, Meaning] = {
    "4.2.1": (_AGAIN, "the recipient's mailbox gets too much at once", _LATER),
    "4.2.2": (_AGAIN, "the recipient's mailbox is full", None),
    "4.3.2": (_AGAIN, "the mail server is closing down", _LATER),
    "4.5.3": (_AGAIN, "too many recipients at once", _LATER),
    "4.7.0": (_AGAIN, "the mail server wants us to be slower", _LATER),
    "4.7.1": (_AGAIN, "the mail server lets unknown senders wait (greylisting)", _LATER),
    "4.7.28": (_AGAIN, "the mail server finds that too much comes from us", _LATER),
    "5.1.0": (_NEVER, "the address was refused", None),
    "5.1.1": (_NEVER, "no such mailbox", "check the spelling of the recipient's address"),
    "5.1.2": (_NEVER, "the recipient's domain does not exist", "check the spelling of the recipient's address"),
    "5.1.3": (_NEVER, "the recipient's address is no address", "check the spelling of the recipient's address"),
    "5.1.6": (_NEVER, "the mailbox has moved", None),
    "5.1.10": (_NEVER, "the recipient's domain takes no mail", "check the spelling of the recipient's address"),
    "5.2.1": (_NEVER, "the recipient's mailbox is disabled", None),
    "5.2.2": (_NEVER, "the recipient's mailbox is full", None),
    "5.2.3": (_NEVER, "the message is too big for the recipient", "send a shorter text"),
    "5.3.4": (_NEVER, "the message is too big for the mail server", "send a shorter text"),
    "5.4.5": (_AGAIN, "the account has sent as much as it may in a day", "wait, or have the limit raised"),
    "5.7.3": (_OWNER, "the mail server wants a login", _ACCESS),
    "5.7.8": (_OWNER, "the mail server refused username or password", _ACCESS),
    "5.7.9": (_OWNER, "the mail server wants an app password", _ACCESS),
    "5.7.14": (_OWNER, "Google wants the account's owner to log in with a browser first", _ACCESS),
    "5.7.26": (_OWNER, "the sender's domain has no valid SPF or DKIM record", "add the records to the domain's DNS"),
    "5.7.57": (_OWNER, "the mail server wants a login", _ACCESS),
    "5.7.60": (_OWNER, "the account may not send as fromEmail", "set fromEmail to the account's own address"),
    "5.7.139": (_OWNER, "Microsoft has SMTP AUTH switched off for this mailbox", _ACCESS),
}

_CODES: Mapping[int, Meaning] = {
    421: (_AGAIN, "the mail server is closing the connection", _LATER),
    432: (_OWNER, "the mail server wants the password to be changed", _ACCESS),
    450: (_AGAIN, "the mailbox is busy, or the mail server lets unknown senders wait (greylisting)", _LATER),
    451: (_AGAIN, "the mail server has an error of its own", _LATER),
    452: (_AGAIN, "the mail server has no room", _LATER),
    454: (_AGAIN, "the mail server can neither encrypt nor check a login now", _LATER),
    530: (_OWNER, "the mail server wants a login or TLS", _ACCESS + "; check useTls"),
    534: (_OWNER, "the mail server wants a stronger way to log in", _ACCESS),
    535: (_OWNER, "the mail server refused username or password", _ACCESS),
    538: (_OWNER, "the mail server lets nobody log in without TLS", "set useTls to true"),
    550: (_NEVER, "no such mailbox, or the mail server does not want this message", None),
    551: (_NEVER, "the mailbox is not there", None),
    552: (_NEVER, "the mailbox is full, or the message too big", None),
    553: (_NEVER, "the address is written wrongly", None),
    554: (_NEVER, "the mail server refused the message, often for what it says or where it comes from", None),
    555: (_NEVER, "the mail server does not know the parameters of the address", None),
}

_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
_LONGEST = 300


def refused(code: int, text: str, stage: Stage) -> Refused:
    """`text`: the words of the server, of any length and kind."""
    found = _ENHANCED_CODE.match(text)
    enhanced = found.group() if found else ""
    refusal, reason, hint = _meaning(code, enhanced, stage)
    if stage is Stage.RECIPIENT and "relay" in text.lower():
        hint = _RELAY
    words = " ".join(text[len(enhanced) :].split())
    said = "".join(character for character in words if character.isprintable())[:_LONGEST]
    return Refused(
        refusal,
        f"{reason}: {said}" if said else reason,
        code=f"{code} {enhanced}".strip(),
        hint=hint,
        step=Step.LOGIN if refusal is _OWNER and stage.step is Step.SEND else stage.step,
    )


def _meaning(code: int, enhanced: str, stage: Stage) -> Meaning:
    known = _ENHANCED.get(enhanced) or _CODES.get(code)
    if code < 500:
        return known or (_AGAIN, "the mail server cannot do it now", _LATER)
    if known is None or (stage.refusal is _OWNER and known[0] is _NEVER):
        # It is not about the recipient, and so not about this message alone.
        return stage.refusal, stage.reason, _hint(stage)
    return known


def _hint(stage: Stage) -> str | None:
    match stage:
        case Stage.LOGIN:
            return _ACCESS
        case Stage.SENDER:
            return "set fromEmail to an address that the account may use, usually its own"
        case Stage.GREETING:
            return "ask the mail server's operator: it may block our address"
        case Stage.TLS:
            return "try port 465, or another port"
    return None
