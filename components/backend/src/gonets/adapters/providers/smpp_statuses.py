"""What an SMS centre means: SMPP 3.4, 5.1.3 (command_status), 5.2.28 (message_state) and appendix B (receipts)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gonets.core.channels.model import Delivery, Receipt, Refusal, Refused, Step

OK = 0x00
INVALID_COMMAND = 0x03
QUEUE_FULL = 0x14
NOT_NOW = 0x64
"""Said by us of a receipt that could not be stored: it is to come again."""

_AGAIN, _NEVER, _OWNER = Refusal.TEMPORARY, Refusal.PERMANENT, Refusal.CONFIGURATION
_ACCESS = "check systemId and password; some centres also ask for a systemType, and know their clients' IP addresses"
_SOURCE = "set sourceAddress to one that the centre has registered for you; check sourceTon and sourceNpi"

STATUSES: Mapping[int, tuple[Refusal, str, str | None]] = {
    0x01: (_NEVER, "the text has an invalid length", None),
    0x02: (_NEVER, "the command has an invalid length", None),
    0x03: (_NEVER, "the centre does not know the command", None),
    0x04: (_AGAIN, "the session is in the wrong state", None),
    0x05: (_AGAIN, "this systemId is logged in already, and no more sessions are allowed", None),
    0x06: (_NEVER, "the priority is invalid", None),
    0x07: (_OWNER, "receipts are not allowed for this account", "have the centre's operator allow them"),
    0x08: (_AGAIN, "the centre has an error of its own", None),
    0x0A: (_NEVER, "the centre refuses the sender", _SOURCE),
    0x0B: (_NEVER, "the centre refuses the number", "check the recipient's number"),
    0x0C: (_NEVER, "the centre does not know this message", None),
    0x0D: (_OWNER, "the centre refused the login", _ACCESS),
    0x0E: (_OWNER, "the centre refused the password", _ACCESS),
    0x0F: (_OWNER, "the centre does not know the systemId", _ACCESS),
    0x14: (_AGAIN, "the centre's queue is full", None),
    0x15: (_OWNER, "the centre does not know the serviceType", None),
    0x43: (_NEVER, "the centre does not take texts in several parts", "send a shorter text"),
    0x45: (
        _NEVER,
        "the centre could not submit the message",
        "list 69 under temporaryStatuses if this centre means later",
    ),
    0x48: (_OWNER, "the sender's type of number is invalid", _SOURCE),
    0x49: (_OWNER, "the sender's numbering plan is invalid", _SOURCE),
    0x50: (_OWNER, "the recipient's type of number is invalid", "check destinationTon"),
    0x51: (_OWNER, "the recipient's numbering plan is invalid", "check destinationNpi"),
    0x53: (_OWNER, "the centre does not know the systemType", _ACCESS),
    0x58: (_AGAIN, "the centre finds that too much comes at once", None),
    0x64: (_AGAIN, "the centre cannot take it now", None),
    0x65: (_NEVER, "the centre refuses the message", None),
    0x66: (_NEVER, "the centre refused the message", None),
    0x67: (_NEVER, "the centre cannot say", None),
    0xFE: (_NEVER, "the centre could not deliver the message", None),
    0xFF: (_AGAIN, "the centre has an error that it cannot name", None),
}
_THROTTLED = 0x58
_PAUSE = 1.0


def refused(status: int, *, temporary: Collection[int] = (), binding: bool = False) -> Refused:
    """`temporary`: statuses that this centre uses for "later"; `binding`: it was the answer to a login."""
    refusal, reason, hint = STATUSES.get(status, (_NEVER, "the centre refused the message", None))
    if status in temporary:
        refusal = _AGAIN
    if binding and refusal is _NEVER:
        refusal, hint = _OWNER, _ACCESS
        reason = reason if status in STATUSES else "the centre refused the login"
    return Refused(
        refusal,
        f"{reason} (status {name(status)})",
        code=name(status),
        hint=hint,
        retry_after=_PAUSE if status == _THROTTLED else None,
        step=Step.LOGIN if binding or refusal is _OWNER else Step.SEND,
    )


def name(status: int) -> str:
    """As it is written in every manual: 0x58."""
    return f"0x{status:02X}"


@dataclass(frozen=True, slots=True)
class _State:
    delivery: Delivery
    final: bool
    reason: str | None = None
    refusal: Refusal | None = None


_STATES: Mapping[str, _State] = {
    "ENROUTE": _State(Delivery.SENT, final=False),
    "DELIVRD": _State(Delivery.DELIVERED, final=True),
    "EXPIRED": _State(Delivery.UNDELIVERED, True, "the phone was not reached in time", _AGAIN),
    "DELETED": _State(Delivery.UNDELIVERED, True, "the centre deleted the message", _NEVER),
    "UNDELIV": _State(Delivery.UNDELIVERED, True, "the message cannot be delivered", _NEVER),
    "ACCEPTD": _State(Delivery.SENT, final=False),
    "UNKNOWN": _State(Delivery.SENT, False, "the centre does not know what became of the message"),
    "REJECTD": _State(Delivery.REJECTED, True, "the centre rejected the message", _NEVER),
}
_BY_NUMBER = dict(enumerate(_STATES, start=1))

_TEXT = re.compile(
    r"id:\s*(?P<id>\S+).*?stat:\s*(?P<stat>[A-Z]{4,8})(?:.*?err:\s*(?P<err>\w+))?", re.DOTALL | re.IGNORECASE
)


def receipt(message_id: str | None, state: int | None, text: str) -> Receipt | None:
    """From the optional parameters receipted_message_id and message_state, and else from the text of the receipt; None:
    it is none."""
    written = _TEXT.search(text)
    found = _STATES.get(_BY_NUMBER.get(state or 0, written["stat"].upper() if written else ""))
    provider_id = message_id or (written["id"] if written else None)
    if found is None or provider_id is None:
        return None
    error = written["err"] if written else None
    return Receipt(
        found.delivery,
        found.final,
        provider_id,
        code=error if error and error.strip("0") else None,
        reason=found.reason,
        refusal=found.refusal,
    )
