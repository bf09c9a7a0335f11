"""Twilio's words: https://www.twilio.com/docs/api/errors, and the statuses of a message."""

from collections.abc import Mapping

from gonets.core.channels.model import Delivery, Receipt, Refusal

_LOGIN = "check accountSid and authToken: https://console.twilio.com shows both"
_SENDER = "use a number of your account that can send SMS"
_LATER = "try again later"

_Error = tuple[Refusal, str, str | None]
ERRORS: Mapping[int, _Error] = {
    20003: (Refusal.CONFIGURATION, "Twilio refused the credentials", _LOGIN),
    20005: (Refusal.CONFIGURATION, "the Twilio account is not active", "look into the Twilio console"),
    20403: (Refusal.CONFIGURATION, "Twilio does not allow it to this account", "look into the Twilio console"),
    20404: (Refusal.CONFIGURATION, "Twilio does not know the account", _LOGIN),
    20429: (Refusal.TEMPORARY, "too many requests to Twilio at one time", None),
    21211: (Refusal.PERMANENT, "the recipient's number is not a valid phone number", "write it as +79161234567"),
    21212: (Refusal.CONFIGURATION, "the sender's number is not a valid phone number", "check from"),
    21265: (Refusal.PERMANENT, "the recipient's number is a short code", None),
    21266: (Refusal.PERMANENT, "the recipient's number is the sender's own", None),
    21408: (
        Refusal.PERMANENT,
        "the account may not send to the recipient's country",
        "allow it in the Twilio console: Messaging, Settings, Geo permissions",
    ),
    21601: (Refusal.CONFIGURATION, "the sender's number cannot send SMS", _SENDER),
    21602: (Refusal.PERMANENT, "Twilio sends no empty message", None),
    21603: (Refusal.CONFIGURATION, "Twilio wants a sender", "set from or messagingServiceSid"),
    21604: (Refusal.PERMANENT, "Twilio wants a recipient", None),
    21606: (Refusal.CONFIGURATION, "the sender's number is not of this account, or cannot send SMS", _SENDER),
    21608: (
        Refusal.CONFIGURATION,
        "a trial account writes to verified numbers only",
        "verify the recipient's number in the Twilio console, or upgrade the account",
    ),
    21609: (Refusal.CONFIGURATION, "Twilio cannot report to our address", "an operator is to check PUBLIC_URL"),
    21610: (Refusal.PERMANENT, "the recipient has unsubscribed", "they can send START to the sender's number"),
    21611: (Refusal.TEMPORARY, "too many messages wait for this sender", "use another sender as well"),
    21612: (Refusal.PERMANENT, "the recipient cannot be reached from this sender", None),
    21614: (Refusal.PERMANENT, "the recipient's number is no mobile phone", None),
    21617: (Refusal.PERMANENT, "the text is too long for Twilio", "shorten it"),
    21619: (Refusal.PERMANENT, "Twilio sends no empty message", None),
    21635: (Refusal.PERMANENT, "the recipient's number is a landline", None),
    21658: (Refusal.PERMANENT, "something is too long for Twilio", "shorten the text"),
    21659: (Refusal.CONFIGURATION, "the sender's number is not of this account", _SENDER),
    21660: (Refusal.CONFIGURATION, "the sender's number is not of this account", _SENDER),
    21701: (Refusal.CONFIGURATION, "Twilio does not know the messaging service", "check messagingServiceSid"),
    21703: (Refusal.CONFIGURATION, "the messaging service has no number", "add one in the Twilio console"),
    21704: (Refusal.CONFIGURATION, "the messaging service has no number", "add one in the Twilio console"),
    21705: (Refusal.CONFIGURATION, "Twilio does not know the messaging service", "check messagingServiceSid"),
    # These come later, in a callback, or when a message is looked at.
    30001: (Refusal.TEMPORARY, "too many messages waited for this sender", _LATER),
    30002: (Refusal.CONFIGURATION, "the Twilio account is suspended", "look into the Twilio console"),
    30003: (Refusal.TEMPORARY, "the phone is off or out of reach", _LATER),
    30004: (Refusal.PERMANENT, "the recipient or their operator blocks such messages", None),
    30005: (Refusal.PERMANENT, "the recipient's operator does not know the number", None),
    30006: (Refusal.PERMANENT, "the recipient's number is a landline, or its operator cannot be reached", None),
    30007: (Refusal.PERMANENT, "the operator filtered the text", "change the text or the sender"),
    30008: (Refusal.TEMPORARY, "the operator gave no reason", None),
    30009: (Refusal.TEMPORARY, "a part of the message was lost", None),
    30010: (Refusal.CONFIGURATION, "the message costs more than is allowed", None),
    30011: (Refusal.PERMANENT, "the recipient's operator takes no such message", None),
    30017: (Refusal.TEMPORARY, "the operator has too much to do", None),
    30022: (Refusal.TEMPORARY, "too many messages from this sender for the operator", None),
    30023: (Refusal.TEMPORARY, "the day's messages of this sender are used up", None),
    30024: (Refusal.CONFIGURATION, "the sender is not registered with the operator", "look into the Twilio console"),
    30032: (Refusal.CONFIGURATION, "the toll-free number is not verified", "verify it in the Twilio console"),
    30034: (Refusal.CONFIGURATION, "the sender is not registered (A2P 10DLC)", "register it in the Twilio console"),
}
# The person has sent STOP to the sender: nothing is to be sent to them any more.
OPTED_OUT = frozenset({21610})
# Where there is no code that is known.
STATUS: Mapping[int, _Error] = {
    401: ERRORS[20003],
    402: (Refusal.CONFIGURATION, "Twilio wants money", "top up the account"),
    403: ERRORS[20403],
    404: ERRORS[20404],
    405: (Refusal.CONFIGURATION, "the address is not Twilio's", "an operator is to check TWILIO_API_URL"),
    408: (Refusal.TEMPORARY, "Twilio did not get the request in time", None),
    429: ERRORS[20429],
}
OTHER: _Error = (Refusal.PERMANENT, "Twilio refused the message", None)
ELSEWHERE: _Error = (Refusal.CONFIGURATION, "the address is not Twilio's", "an operator is to check TWILIO_API_URL")

# The status of a message; whether nothing follows it.
_STATUSES: Mapping[str, tuple[Delivery, bool]] = {
    "accepted": (Delivery.SENT, False),
    "scheduled": (Delivery.SENT, False),
    "queued": (Delivery.SENT, False),
    "sending": (Delivery.SENT, False),
    "sent": (Delivery.SENT, False),
    "delivered": (Delivery.DELIVERED, True),
    "read": (Delivery.DELIVERED, True),
    "partially_delivered": (Delivery.SENT, False),
    "undelivered": (Delivery.UNDELIVERED, True),
    "failed": (Delivery.REJECTED, True),
    "canceled": (Delivery.REJECTED, True),
}


def receipt(status: object, error_code: object = None, sid: object = None) -> Receipt | None:
    """What Twilio's words mean, of a message that was looked at or from a callback (MessageStatus, ErrorCode and
    MessageSid); None for a status that is not known."""
    if not isinstance(status, str) or status not in _STATUSES:
        return None
    delivery, final = _STATUSES[status]
    code = str(error_code) if error_code not in (None, "", 0, "0") else None
    failed = delivery in {Delivery.UNDELIVERED, Delivery.REJECTED}
    number = int(code) if code and code.isdecimal() else 0
    refusal, reason, _ = ERRORS.get(number, (None, f"Twilio says {status}", None))
    return Receipt(
        delivery,
        final,
        sid if isinstance(sid, str) else None,
        code or status,
        reason if failed else None,
        (refusal or Refusal.PERMANENT) if failed else None,
        opted_out=failed and number in OPTED_OUT,
    )
