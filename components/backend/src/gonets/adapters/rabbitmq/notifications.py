"""Notifications by queue: requests come in, wake-ups go round inside, ends go out."""

import hashlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.outcomes import KEY_HEADER, DeadLetters, read
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher
from gonets.adapters.rabbitmq.receiver import Acknowledge, Work
from gonets.contract import NotificationMessage, NotificationResult, NotificationWake
from gonets.core.channels.ports import Vault
from gonets.core.notifications.model import NewNotification, Notification, Taken
from gonets.core.shared.batching import Batcher
from gonets.core.shared.errors import Category, GonetsError, Invalid, Unauthenticated, Unavailable
from gonets.core.shared.masking import MASK
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

Owner = Callable[[str | None], Awaitable[int]]
"""Whose request it is, by the API key that came with it, None where none came. Raises Unauthenticated, Forbidden where
the key may not send, and Unavailable."""

_SEALED = "sealed."

_MOST_WOKEN = 20
"""Rows that one wake-up names. By then a message costs a worker next to nothing for each, and all of them are its."""
_WAKES_IN_FLIGHT = 50


class RabbitNotificationNews:
    """Implements NotificationNews. `queue`: where wake-ups go: those of one moment in a few messages."""

    def __init__(self, publisher: Publisher, queue: str = topology.NOTIFICATION_DISPATCH) -> None:
        self._publisher = publisher
        self._queue = queue
        self._wakes: Batcher[int, None] = Batcher(
            self._publish, most=_MOST_WOKEN, in_flight=_WAKES_IN_FLIGHT, eager=True, shared_errors=(Unavailable,)
        )

    async def wake(self, notification_id: int) -> None:
        await self._wakes.add(notification_id)

    async def _publish(self, ids: Sequence[int]) -> Sequence[None]:
        # One alone travels as it always did: a worker of an older version understands it.
        wake = NotificationWake(notificationIds=ids) if len(ids) > 1 else NotificationWake(notificationId=ids[0])
        body = wake.model_dump_json(by_alias=True, exclude_defaults=True).encode()
        await self._publisher.publish(Outgoing(self._queue, body, properties(f"notification-{ids[0]}")))
        return [None] * len(ids)

    async def end(self, notification: Notification) -> None:
        body = NotificationResult.of(notification).model_dump_json(by_alias=True).encode()
        about = properties(f"notification-{notification.id}-{notification.status.value}")
        await self._publisher.publish(Outgoing(topology.NOTIFICATION_RESULTS, body, about))


def properties(message_id: str) -> Basic.Properties:
    """Of a message of ours inside the service, or to whoever asked for it."""
    return Basic.Properties(content_type="application/json", delivery_mode=PERSISTENT, message_id=message_id)


class SealedKeys:
    """What stands in place of API keys while requests are set aside: encrypted, and bound to the request's body. A
    replay knows whose it is; whoever reads the queue can hand in this very request again, and nothing else."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def protect(self, headers: Mapping[str, Any], body: bytes) -> Mapping[str, Any]:
        return {
            name: self._sealed(value, body) if name.lower() == KEY_HEADER else value for name, value in headers.items()
        }

    def _sealed(self, value: object, body: bytes) -> str:
        key = _text(value)
        if key is None:
            return MASK
        return key if key.startswith(_SEALED) else _SEALED + self._vault.seal(key, _context(body))

    def opened(self, headers: Mapping[str, object], body: bytes) -> str | None:
        """The API key that came with a request, for the first time or again. Raises Unauthenticated for what is no
        text, Unreadable."""
        found = [value for name, value in headers.items() if name.lower() == KEY_HEADER]
        if not found or found[0] is None:
            return None
        key = _text(found[0])
        if key is None:
            raise Unauthenticated(f"the header {KEY_HEADER} must be a text")
        if not key.startswith(_SEALED):
            return key
        return self._vault.open(key.removeprefix(_SEALED), _context(body))


def _text(value: object) -> str | None:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else None


def _context(body: bytes) -> str:
    return f"the API key of the request {hashlib.sha256(body).hexdigest()}"


class TakeRequest:
    """Handles a message of `NotificationRequestQueue`: taken, or set aside with a reason."""

    def __init__(
        self,
        submit: Callable[[NewNotification], Awaitable[Taken]],
        owner: Owner,
        keys: SealedKeys,
        dead_letters: DeadLetters,
    ) -> None:
        """`dead_letters` protect what they set aside by `keys`."""
        self._submit = submit
        self._owner = owner
        self._keys = keys
        self._dead_letters = dead_letters

    async def __call__(self, message: DeliveredMessage, acknowledge: Acknowledge) -> None:
        try:
            request = read(NotificationMessage, message.body)
            key = self._keys.opened(message.header.properties.headers or {}, bytes(message.body))
            owner_id = await until_available(lambda: self._owner(key))
            new = request.to_new(owner_id, _key(message, request))
            # While the database is away nothing is acknowledged: the queue waits in the broker.
            taken = await until_available(lambda: self._submit(new))
            if message.redelivered and not _named(message, request):
                log.warning("a request that came before has no key, and may be sent twice", extra=_advice(taken))
        except GonetsError as error:
            if isinstance(error, Unavailable):
                raise
            await until_available(partial(self._dead_letters.put, message, error))
            facts = {"message_id": message.header.properties.message_id, "category": error.category.value}
            log.warning("notification set aside", extra=facts | {"reason": error.reason})
        acknowledge()


def _key(message: DeliveredMessage, request: NotificationMessage) -> str:
    """A message that comes again, after its acknowledgement was lost, is known by its message_id and its content.

    Without one it is taken as new: by its content alone it could not be told from another that was meant just so, and
    to lose that one would be worse.
    """
    message_id = message.header.properties.message_id
    by_message = f"message {message_id[:100]} {request.digest}" if message_id else f"delivery {uuid.uuid4()}"
    return request.idempotency_key or by_message


def _named(message: DeliveredMessage, request: NotificationMessage) -> bool:
    return bool(request.idempotency_key or message.header.properties.message_id)


def _advice(taken: Taken) -> Mapping[str, object]:
    return {"notification": taken.id, "hint": "senders should set message_id or idempotencyKey"}


Claim = Callable[[int, int], Awaitable[Notification | None]]


class TakeWake:
    """What a wake-up asks for: each row is claimed, the message forgotten, the work done."""

    def __init__(
        self, claim: Claim, run: Callable[[Notification], Awaitable[None]], new_stamp: Callable[[], int]
    ) -> None:
        self._claim = claim
        self._run = run
        self._new_stamp = new_stamp

    def __call__(self, message: DeliveredMessage) -> Sequence[Work]:
        try:
            wake = read(NotificationWake, message.body)
        except Invalid as error:
            log.error(  # noqa: TRY400 - what came is the news, not our stack
                "no wake-up of ours", extra={"reason": error.reason, "category": Category.INVALID.value}
            )
            return ()
        return [partial(self._look_at, number) for number in wake.ids]

    async def _look_at(self, notification_id: int, acknowledge: Acknowledge) -> None:
        stamp = self._new_stamp()
        claimed = await until_available(lambda: self._claim(notification_id, stamp))
        acknowledge()
        if claimed is not None:
            await self._run(claimed)
