"""What webhooks and bots are told of an event: the fields that its sender gave, unchanged, defaults for the rest."""

from datetime import UTC, datetime

from gonets.core.channels.model import Message
from gonets.core.shared.json import JSON

NOBODY = "gonets"
"""The `username` of a message that names none."""


def payload(message: Message, now: datetime | None = None) -> dict[str, JSON]:
    """username, serviceName, serviceUrl, status, severity, message, timestamp, metadata; then whatever else the event
    holds. `message` is always the text, and a username of the message's own goes before the event's."""
    moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event: dict[str, JSON] = {
        "username": NOBODY,
        "serviceName": "Gonets",
        "serviceUrl": "",
        "status": "UP",
        "severity": "INFO",
        "message": "",
        "timestamp": moment,
        "metadata": {},
        **message.event,
    }
    event["message"] = message.text
    if message.username is not None:
        event["username"] = message.username
    return event
