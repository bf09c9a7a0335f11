"""Campaigns by queue: wake-ups that name one, or a chunk of one."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiormq.abc import DeliveredMessage

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.notifications import properties
from gonets.adapters.rabbitmq.outcomes import read
from gonets.adapters.rabbitmq.publisher import Outgoing, Publisher
from gonets.contract import CampaignWake
from gonets.core.shared.errors import Category, Invalid
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

Acknowledge = Callable[[], None]
Work = Callable[[int, Acknowledge], Awaitable[None]]
"""What is done about the row with this id. MUST call its second argument when the row says who does it."""

Claimed = TypeVar("Claimed")


class RabbitCampaignNews:
    """Implements CampaignNews."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def wake_campaign(self, campaign_id: int) -> None:
        await self._wake(CampaignWake(campaignId=campaign_id), f"campaign-{campaign_id}")

    async def wake_chunk(self, chunk_id: int) -> None:
        await self._wake(CampaignWake(chunkId=chunk_id), f"chunk-{chunk_id}")

    async def _wake(self, wake: CampaignWake, message_id: str) -> None:
        body = wake.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self._publisher.publish(Outgoing(topology.CAMPAIGN_DISPATCH, body, properties(message_id)))


class TakeCampaignWake:
    """Handles a wake-up of `CampaignDispatchQueue`."""

    def __init__(self, campaign: Work, chunk: Work) -> None:
        self._campaign = campaign
        self._chunk = chunk

    async def __call__(self, message: DeliveredMessage, acknowledge: Acknowledge) -> None:
        try:
            wake = read(CampaignWake, message.body)
        except Invalid as error:
            log.error(  # noqa: TRY400 - what came is the news, not our stack
                "no wake-up of ours", extra={"reason": error.reason, "category": Category.INVALID.value}
            )
            acknowledge()
            return
        if wake.campaign_id is not None:
            await self._campaign(wake.campaign_id, acknowledge)
        if wake.chunk_id is not None:
            await self._chunk(wake.chunk_id, acknowledge)


def claimed(
    claim: Callable[[int, int], Awaitable[Claimed | None]],
    run: Callable[[Claimed], Awaitable[None]],
    new_stamp: Callable[[], int],
) -> Work:
    """The row is claimed, the message forgotten, the work done."""

    async def work(number: int, acknowledge: Acknowledge) -> None:
        stamp = new_stamp()
        found = await until_available(lambda: claim(number, stamp))
        acknowledge()
        if found is not None:
            await run(found)

    return work
