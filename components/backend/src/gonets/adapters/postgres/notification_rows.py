"""Notifications, their attempts and receipts, as rows."""

import json
from datetime import datetime
from typing import Any

from gonets.core.channels.model import ChannelType, Delivery, Message, Receipt, Recipient, Refusal
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    ChannelKey,
    Event,
    NewNotification,
    Notification,
    Status,
)
from gonets.core.shared.json import JSON


def new_to_row(place: int, new: NewNotification) -> dict[str, JSON]:
    return {
        "place": place,
        "owner_id": new.owner_id,
        "recipient": _recipient_to_row(new.recipient),
        "contact_id": new.contact_id,
        "text": new.message.text,
        "subject": new.message.subject,
        "username": new.message.username,
        "event": dict(new.message.event),
        "route": list(new.route),
        "deadline": _time(new.deadline),
        "fallback_after": new.fallback_after.total_seconds() if new.fallback_after else None,
        "notify_result": new.notify_result,
        "held": new.held,
        "key": new.key,
        "digest": new.digest,
    }


def to_row(notification: Notification, stamp: int, release: bool) -> dict[str, object]:
    channel = notification.channel
    return {
        "id": notification.id,
        "version": notification.version,
        "stamp": stamp,
        "release": release,
        "held": notification.held,
        "cancelled": notification.cancelled,
        "status": notification.status.value,
        "reason": notification.reason,
        "channel_id": channel.id if channel else None,
        "channel_type": channel.type.value if channel else None,
        "round": notification.round,
        "attempts": len(notification.attempts),
        "told": notification.told and notification.told.value,
        "due_at": notification.due_at,
        "sent_at": notification.sent_at,
        "finished_at": notification.finished_at,
    }


def from_row(row: Any, tries: str | None) -> Notification:
    return Notification(
        id=row["id"],
        owner_id=row["owner_id"],
        recipient=_recipient_from_row(json.loads(row["recipient"])),
        contact_id=row["contact_id"],
        message=Message(row["text"], row["subject"], row["username"], json.loads(row["event"])),
        route=tuple(row["route"]),
        deadline=row["deadline"],
        fallback_after=row["fallback_after"],
        notify_result=row["notify_result"],
        held=row["held"],
        cancelled=row["cancelled"],
        status=Status(row["status"]),
        reason=row["reason"],
        channel=None if row["channel_id"] is None else ChannelKey(row["channel_id"], ChannelType(row["channel_type"])),
        round=row["round"],
        attempts=tuple(_attempt_from_row(one) for one in json.loads(tries)) if tries else (),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        finished_at=row["finished_at"],
        due_at=row["due_at"],
        told=row["told"] and Status(row["told"]),
        campaign_id=row["campaign_id"],
        zone=row["zone"],
        version=row["version"],
        life=row["life"],
        erased=row["erased_at"] is not None,
    )


def attempt_to_row(notification_id: int, attempt: Attempt) -> dict[str, object]:
    return {
        "notification_id": notification_id,
        "number": attempt.number,
        "round": attempt.round,
        "reference": attempt.reference,
        "channel_id": attempt.channel.id,
        "channel_type": attempt.channel.type.value,
        "channel_name": attempt.channel_name,
        "to": attempt.to,
        "why": attempt.why,
        "state": attempt.state.value,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "counted_from": attempt.counted_from,
        "provider_id": attempt.provider_id,
        "parts": attempt.parts,
        "refusal": attempt.refusal and attempt.refusal.value,
        "code": attempt.code,
        "reason": attempt.reason,
        "hint": attempt.hint,
        "retry_after": attempt.retry_after,
        "asked": attempt.asked,
        "asked_at": attempt.asked_at,
        "held": attempt.held,
        "events": [
            {"at": event.at, "what": event.what, "code": event.code, "reason": event.reason} for event in attempt.events
        ],
    }


def _attempt_from_row(row: dict[str, Any]) -> Attempt:
    return Attempt(
        number=row["number"],
        round=row["round"],
        reference=row["reference"],
        channel=ChannelKey(row["channel_id"], ChannelType(row["channel_type"])),
        channel_name=row["channel_name"],
        to=row["to"],
        why=row["why"],
        state=AttemptState(row["state"]),
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=_from_time(row["ended_at"]),
        counted_from=_from_time(row["counted_from"]),
        provider_id=row["provider_id"],
        parts=row["parts"],
        refusal=row["refusal"] and Refusal(row["refusal"]),
        code=row["code"],
        reason=row["reason"],
        hint=row["hint"],
        retry_after=row["retry_after"],
        asked=row["asked"],
        asked_at=_from_time(row["asked_at"]),
        held=row["held"],
        events=tuple(
            Event(datetime.fromisoformat(event["at"]), event["what"], event["code"], event["reason"])
            for event in row["events"]
        ),
    )


def _recipient_to_row(recipient: Recipient) -> dict[str, JSON]:
    return {"telegramChatId": recipient.telegram_chat_id, "email": recipient.email, "phone": recipient.phone}


def _recipient_from_row(row: dict[str, Any]) -> Recipient:
    return Recipient(row["telegramChatId"], row["email"], row["phone"])


def receipt_to_row(receipt: Receipt) -> dict[str, JSON]:
    return {
        "delivery": receipt.delivery.value,
        "final": receipt.final,
        "provider_id": receipt.provider_id,
        "code": receipt.code,
        "reason": receipt.reason,
        "refusal": receipt.refusal and receipt.refusal.value,
        "held": receipt.held,
        "opted_out": receipt.opted_out,
    }


def receipt_from_row(row: dict[str, Any]) -> Receipt:
    enums = {"delivery": Delivery(row["delivery"]), "refusal": row["refusal"] and Refusal(row["refusal"])}
    return Receipt(**(row | enums))


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _from_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
