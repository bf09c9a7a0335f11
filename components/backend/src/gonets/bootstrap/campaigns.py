"""Campaigns, put together: for the API, the worker and the scheduler."""

from dataclasses import dataclass
from datetime import timedelta

from gonets.adapters.postgres.campaign_wakes import PostgresCampaignWakes, PostgresChunkLine
from gonets.adapters.postgres.campaign_work import PostgresCampaignWork
from gonets.adapters.postgres.campaigns import (
    PostgresAudiences,
    PostgresCampaignMessages,
    PostgresCampaigns,
    PostgresCrowds,
)
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.templates import PostgresTemplates
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.campaigns import RabbitCampaignNews, TakeCampaignWake, Work, claimed
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver, whole
from gonets.bootstrap.notifications import now
from gonets.core.campaigns.estimate import Tariff
from gonets.core.campaigns.fan_out import RunCampaign
from gonets.core.campaigns.model import Content
from gonets.core.campaigns.permits import CampaignPermits
from gonets.core.campaigns.ports import Abandon, Audiences
from gonets.core.campaigns.schedule import KeepCampaigns
from gonets.core.campaigns.use_cases import DrawUp, DryRun, ManageCampaigns, ReadCampaigns, SendToAll, SteerCampaigns
from gonets.core.channels.model import ChannelType
from gonets.core.channels.ports import ChannelKinds, ChannelsOf
from gonets.core.notifications.dispatch import new_stamp
from gonets.core.shared.audit import Audit
from gonets.core.templates import rendering
from gonets.settings import Campaigns as CampaignSettings
from gonets.settings import Settings

_CONCURRENCY = 8
"""Campaigns and chunks in one worker's hands. Few, so that what others hand in finds a worker soon."""


@dataclass(frozen=True, slots=True)
class TemplatesOf:
    """Templates, as campaigns see them."""

    templates: PostgresTemplates

    async def content(self, owner_id: int, template_id: int, version: int | None) -> Content | None:
        found = await self.templates.get(owner_id, template_id)
        number = version or (found.version if found else 0)
        written = await self.templates.version(owner_id, template_id, number)
        if written is None:
            return None
        texts = [text for text in (written.content.body, written.content.subject) if text is not None]
        return Content(
            text=written.content.body,
            subject=written.content.subject,
            template_id=template_id,
            template_version=written.number,
            variables=any(rendering.compile(text).variables for text in texts),
        )


@dataclass(frozen=True)
class Doors:
    """What people can ask of campaigns."""

    manage: ManageCampaigns
    steer: SteerCampaigns
    send_to_all: SendToAll
    dry_run: DryRun


def doors(
    pool: Pool,
    publisher: Publisher,
    channels: ChannelsOf,
    audiences: Audiences,
    audit: Audit,
    kinds: ChannelKinds,
    patient: Pool,
    settings: Settings,
) -> Doors:
    """`patient`: a pool for questions that take long."""
    store, news = PostgresCampaigns(pool), RabbitCampaignNews(publisher)
    latest_start = timedelta(seconds=settings.campaigns.latest_start)
    draw_up = DrawUp(channels, TemplatesOf(PostgresTemplates(pool)), audiences, now, latest_start)
    read = ReadCampaigns(store, PostgresCampaignMessages(pool))
    return Doors(
        manage=ManageCampaigns(read, draw_up, audit),
        steer=SteerCampaigns(read, audiences, news, audit, now),
        send_to_all=SendToAll(store, draw_up, news, audit, now),
        dry_run=DryRun(read, audiences, PostgresCrowds(patient), channels, kinds, _tariff(settings), now),
    )


def _tariff(settings: Settings) -> Tariff:
    rates, prices = settings.notifications.rate_of, settings.sms.price_of
    return Tariff(
        {ChannelType(name): rate for name, rate in rates.items()},
        {ChannelType(name): price for name, price in prices.items()},
        settings.sms.currency,
    )


def permits(pool: Pool) -> CampaignPermits:
    return CampaignPermits(PostgresCampaigns(pool), now)


def work(
    url: str, pool: Pool, lifeline: PostgresLifeline, publisher: Publisher, abandon: Abandon, chunk: Work
) -> Receiver:
    """Takes wake-ups. `chunk`: what is done about a chunk that a worker is woken for."""
    made = PostgresCampaignWork(pool, lifeline)
    run = RunCampaign(made, PostgresChunkLine(pool), RabbitCampaignNews(publisher), abandon)
    take = TakeCampaignWake(claimed(made.claim, run, new_stamp), chunk)
    return Receiver(url, topology.CAMPAIGN_DISPATCH, whole(take), concurrency=_CONCURRENCY)


def keep(pool: Pool, publisher: Publisher, settings: CampaignSettings) -> KeepCampaigns:
    return KeepCampaigns(
        PostgresCampaignWakes(pool),
        PostgresCampaigns(pool),
        PostgresAudiences(pool),
        RabbitCampaignNews(publisher),
        now,
        timedelta(seconds=settings.latest_start),
    )
