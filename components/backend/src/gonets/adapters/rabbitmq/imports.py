"""Imports by queue: wake-ups that name one."""

import logging
from collections.abc import Awaitable, Callable

from aiormq.abc import DeliveredMessage

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.notifications import properties
from gonets.adapters.rabbitmq.outcomes import read
from gonets.adapters.rabbitmq.publisher import Outgoing, Publisher
from gonets.contract import ContactImportWake
from gonets.core.contacts.imports import Import
from gonets.core.shared.errors import Category, Invalid
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)


class RabbitImportNews:
    """Implements ImportNews."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def wake(self, import_id: int) -> None:
        body = ContactImportWake(importId=import_id).model_dump_json(by_alias=True).encode()
        await self._publisher.publish(Outgoing(topology.CONTACT_IMPORTS, body, properties(f"import-{import_id}")))


class TakeImportWake:
    """Handles a wake-up of `ContactImportQueue`: the row is claimed, the message forgotten, the work done."""

    def __init__(
        self, claim: Callable[[int], Awaitable[Import | None]], run: Callable[[Import], Awaitable[None]]
    ) -> None:
        self._claim = claim
        self._run = run

    async def __call__(self, message: DeliveredMessage, acknowledge: Callable[[], None]) -> None:
        try:
            wake = read(ContactImportWake, message.body)
        except Invalid as error:
            log.error(  # noqa: TRY400 - what came is the news, not our stack
                "no wake-up of ours", extra={"reason": error.reason, "category": Category.INVALID.value}
            )
            acknowledge()
            return
        claimed = await until_available(lambda: self._claim(wake.import_id))
        acknowledge()
        if claimed is not None:
            await self._run(claimed)
