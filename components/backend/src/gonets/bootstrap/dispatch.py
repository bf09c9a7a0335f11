"""Sending what is in chunks of campaigns, put together for the worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gonets.adapters.postgres.campaign_wakes import PostgresChunkLine
from gonets.adapters.postgres.chunks import PostgresChunks
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.providers import PostgresBudget
from gonets.adapters.rabbitmq.campaigns import RabbitCampaignNews, Work, claimed
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.bootstrap.notifications import callback_url, now, policy
from gonets.core.campaigns.dispatch import SendChunk
from gonets.core.campaigns.lanes import Lanes
from gonets.core.campaigns.model import Campaign, Chunk
from gonets.core.campaigns.turns import CampaignTurns
from gonets.core.channels.ports import ChannelKinds, ChannelsOf
from gonets.core.notifications.dispatch import FindRoute, new_stamp
from gonets.core.notifications.ports import Observer, Suppressions
from gonets.core.notifications.recent import RecentChannels
from gonets.core.notifications.reports import NoteReports
from gonets.core.notifications.turns import ChannelTurns
from gonets.core.shared.batching import Observe
from gonets.core.tasks.gate import permits_of
from gonets.settings import Settings


@dataclass(frozen=True, slots=True)
class _AskedTogether:
    """For routes that are found once for many recipients: whose addresses are listed is asked for all of them."""

    suppressions: Suppressions

    async def among(
        self,
        owner_id: int,  # noqa: ARG002
        asked: Mapping[str, Sequence[str]],  # noqa: ARG002
    ) -> Mapping[str, frozenset[str]]:
        return {}

    async def opted_out(self, owner_id: int, kind: str, address: str, reason: str) -> None:
        await self.suppressions.opted_out(owner_id, kind, address, reason)


@dataclass(frozen=True)
class Dispatch:
    """What a worker does about chunks. `lanes` are to be stopped with it."""

    send: SendChunk
    work: Work
    lanes: Lanes


def dispatch(
    settings: Settings,
    pool: Pool,
    store: PostgresNotifications,
    lifeline: PostgresLifeline,
    channel_turns: ChannelTurns,
    publisher: Publisher,
    channels: ChannelsOf,
    kinds: ChannelKinds,
    reports: NoteReports,
    suppressions: Suppressions,
    observe: Observe,
    observer: Observer,
) -> Dispatch:
    def budget(name: str, rate: float) -> PostgresBudget:
        return PostgresBudget(pool, lifeline, name, rate=rate, in_flight=permits_of(rate))

    chunks, lanes = PostgresChunks(pool, lifeline, observe), Lanes(settings.campaigns.concurrency)
    url = callback_url(settings.notifications)
    send = SendChunk(
        chunks,
        PostgresChunkLine(pool),
        RabbitCampaignNews(publisher),
        suppressions,
        store,
        reports,
        FindRoute(RecentChannels(channels), kinds, url, _AskedTogether(suppressions)),
        lifeline,
        CampaignTurns(channel_turns, budget),
        observer,
        policy(settings.notifications),
        now,
        lanes,
    )

    async def run(found: tuple[Chunk, Campaign]) -> None:
        await send(*found)

    return Dispatch(send, claimed(chunks.claim, run, new_stamp), lanes)
