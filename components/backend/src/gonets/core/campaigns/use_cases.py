"""What the outside can ask of campaigns."""

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from gonets.core.campaigns.estimate import Estimate, Tariff, estimate
from gonets.core.campaigns.model import NOT_STARTED, OVER, Campaign, Content, Counts, Status
from gonets.core.campaigns.ports import (
    Audiences,
    CampaignMessages,
    CampaignNews,
    CampaignPage,
    CampaignStore,
    Crowds,
    MessagePage,
    Templates,
)
from gonets.core.campaigns.schedule import whom
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.ports import ChannelKinds, ChannelsOf
from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.notifications.model import MAX_TEXT, Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.ports import Clock
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Conflict, Invalid, NotFound, Unavailable
from gonets.core.shared.json import JSON

log = logging.getLogger(__name__)

_FARTHEST = timedelta(days=36_525)
_CONTENT = frozenset({"text", "subject", "template_id", "template_version"})
_WHILE_IT_RUNS = frozenset({"name", "rate"})
_WHEN_OVER = frozenset({"name"})
_AUDIENCE_GONE = "its saved audience was deleted: give it another one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A campaign as its owner describes it: a text, or a template (its latest version, where none is named); an
    audience, or a saved one, which is taken as it is when the campaign starts."""

    name: str
    text: str | None = None
    subject: str | None = None
    template_id: int | None = None
    template_version: int | None = None
    audience: Audience = EVERYBODY
    audience_id: int | None = None
    route: Sequence[int] = ()
    fallback_after: timedelta | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    window: SendWindow | None = None
    rate: float | None = None


PLAN_FIELDS = frozenset(field.name for field in fields(Plan))


@dataclass(frozen=True, slots=True)
class DrawUp:
    """Makes of a plan what a campaign is made of."""

    channels: ChannelsOf
    templates: Templates
    audiences: Audiences
    now: Clock
    latest_start: timedelta

    async def __call__(self, owner_id: int, plan: Plan) -> Campaign:
        """A draft, or scheduled where it has a start. Raises Invalid, with the field, for what cannot be."""
        now = self.now()
        self._check_times(plan, now)
        for place, channel_id in enumerate(plan.route):
            try:
                await self.channels.get(owner_id, channel_id)
            except NotFound as error:
                raise Invalid(f"route.{place}", error.reason) from error
        audience = plan.audience
        if plan.audience_id is not None:
            saved = await self.audiences.get(owner_id, plan.audience_id)
            if saved is None:
                raise Invalid("audience.audienceId", f"no audience has the id {plan.audience_id}")
            audience = saved
        return Campaign(
            id=0,
            owner_id=owner_id,
            name=plan.name,
            content=await self._content(owner_id, plan),
            audience=audience,
            audience_id=plan.audience_id,
            route=tuple(plan.route),
            fallback_after=plan.fallback_after,
            start_at=plan.start_at,
            end_at=plan.end_at,
            window=plan.window,
            rate=plan.rate,
            status=Status.DRAFT if plan.start_at is None else Status.SCHEDULED,
            created_at=now,
            updated_at=now,
        )

    def _check_times(self, plan: Plan, now: datetime) -> None:
        for field, at in (("startAt", plan.start_at), ("endAt", plan.end_at)):
            if at is not None and at - now > _FARTHEST:
                raise Invalid(field, "must lie within the next hundred years")
        if plan.start_at is not None and plan.start_at < now - self.latest_start:
            raise Invalid("startAt", f"must not be more than {self.latest_start.total_seconds():g} seconds ago")
        if plan.end_at is not None and plan.end_at <= max(now, plan.start_at or now):
            raise Invalid("endAt", "must be in the future, and after startAt")

    async def _content(self, owner_id: int, plan: Plan) -> Content:
        if (plan.text is None) == (plan.template_id is None):
            raise Invalid("text", "must be given, or else templateId")
        if plan.text is not None:
            return Content(text=plan.text, subject=plan.subject)
        assert plan.template_id is not None  # noqa: S101 - one of the two is there
        found = await self.templates.content(owner_id, plan.template_id, plan.template_version)
        if found is None:
            version = "" if plan.template_version is None else f" with the version {plan.template_version}"
            raise Invalid("templateId", f"no template has the id {plan.template_id}{version}")
        if len(found.text) > MAX_TEXT:
            raise Invalid("templateId", f"its text must have at most {MAX_TEXT} characters")
        return found if plan.subject is None else replace(found, subject=plan.subject)


def plan_of(campaign: Campaign) -> Plan:
    """As it could be asked for again."""
    content = campaign.content
    of_template = content.template_id is not None
    return Plan(
        name=campaign.name,
        text=None if of_template else content.text,
        subject=None if of_template else content.subject,
        template_id=content.template_id,
        template_version=content.template_version,
        audience=campaign.audience if campaign.audience_id is None else EVERYBODY,
        audience_id=campaign.audience_id,
        route=campaign.route,
        fallback_after=campaign.fallback_after,
        start_at=campaign.start_at,
        end_at=campaign.end_at,
        window=campaign.window,
        rate=campaign.rate,
    )


@dataclass(frozen=True, slots=True)
class ReadCampaigns:
    """Look at campaigns, one or many. Another owner's are not there."""

    store: CampaignStore
    messages: CampaignMessages

    async def one(self, owner_id: int, campaign_id: int) -> Campaign:
        """Raises NotFound."""
        found = await self.store.get(owner_id, campaign_id)
        if found is None:
            raise NotFound(f"no campaign has the id {campaign_id}")
        return found

    async def with_counts(self, owner_id: int, campaign_id: int) -> tuple[Campaign, Counts]:
        """Raises NotFound."""
        found = await self.one(owner_id, campaign_id)
        return found, await self.store.counts(campaign_id)

    async def page(self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int) -> CampaignPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.store.page(owner_id, status=status, cursor=cursor, limit=limit)

    async def messages_of(
        self, owner_id: int, campaign_id: int, *, status: MessageStatus | None, cursor: str | None, limit: int
    ) -> MessagePage:
        """In the order of contacts, without attempts. Raises NotFound, and Invalid for a cursor that is none of
        ours."""
        await self.one(owner_id, campaign_id)
        return await self.messages.page(campaign_id, status=status, cursor=cursor, limit=limit)

    async def all_messages(
        self, owner_id: int, campaign_id: int, status: MessageStatus | None
    ) -> AsyncIterator[Sequence[Notification]]:
        """All of them, page by page. Raises NotFound before the first."""
        await self.one(owner_id, campaign_id)
        return self._pages(campaign_id, status)

    async def _pages(self, campaign_id: int, status: MessageStatus | None) -> AsyncIterator[Sequence[Notification]]:
        cursor: str | None = None
        while True:
            page = await self.messages.page(campaign_id, status=status, cursor=cursor, limit=1000)
            yield page.messages
            if (cursor := page.next_cursor) is None:
                return


@dataclass(frozen=True, slots=True)
class ManageCampaigns:
    """An owner's campaigns: create, change, delete."""

    read: ReadCampaigns
    draw_up: DrawUp
    audit: Audit

    @property
    def store(self) -> CampaignStore:
        return self.read.store

    async def create(self, actor: Actor, plan: Plan, key: str | None = None) -> Campaign:
        """With a start it starts by itself, without one it is a draft. Raises Invalid, with the field, for what cannot
        be; Conflict where the key named another one. The same key and plan again: the campaign of then, also when its
        time is over or its template is gone."""
        if key is not None and (known := await self.store.known(actor.user_id, key)):
            return _same(known, plan)
        made, new = await self.store.add(await self.draw_up(actor.user_id, plan), key)
        if not new:
            return _same(made, plan)
        await self.audit.note(actor, "created", made.id, {})
        return made

    async def change(self, actor: Actor, campaign_id: int, changes: Mapping[str, object]) -> Campaign:
        """`changes`: fields of Plan. Raises NotFound; Invalid; Conflict, which says what may still change."""
        while True:
            found = await self.read.one(actor.user_id, campaign_id)
            changed = await self._changed(found, changes)
            if changed == found:
                return found
            if saved := await self.store.save(changed):
                await self.audit.note(actor, "changed", campaign_id, {"fields": list[JSON](sorted(changes))})
                return saved

    async def _changed(self, found: Campaign, changes: Mapping[str, object]) -> Campaign:
        if found.status in NOT_STARTED:
            return await self._redrawn(found, changes)
        allowed = _WHEN_OVER if found.status in OVER else _WHILE_IT_RUNS
        if refused := sorted({_said(name) for name in changes.keys() - allowed}):
            raise Conflict(
                f"is {found.status.value}: {' and '.join(sorted(allowed))} may change now, and not {', '.join(refused)}"
            )
        return replace(found, **changes)  # type: ignore[arg-type]  # they are fields of Plan

    async def _redrawn(self, found: Campaign, changes: Mapping[str, object]) -> Campaign:
        plan = plan_of(found)
        if changes.get("text") is not None:
            plan = replace(plan, template_id=None, template_version=None)
        if changes.get("template_id") is not None:
            plan = replace(plan, text=None, subject=None, template_version=None)
        said_anew = bool(changes.keys() & _CONTENT)
        if not said_anew:
            # As it was written, whatever has become of its template.
            plan = replace(plan, text=found.content.text, template_id=None, template_version=None)
        drawn = await self.draw_up(found.owner_id, replace(plan, **changes))  # type: ignore[arg-type]
        return replace(
            drawn,
            id=found.id,
            content=drawn.content if said_anew else found.content,
            created_at=found.created_at,
            updated_at=found.updated_at,
            version=found.version,
        )

    async def delete(self, actor: Actor, campaign_id: int) -> None:
        """Raises NotFound; Conflict while it has something to send or to end."""
        while True:
            found = await self.read.one(actor.user_id, campaign_id)
            if found.status in {Status.RUNNING, Status.PAUSED}:
                raise Conflict(f"is {found.status.value}: cancel it first")
            if found.status in {Status.CANCELLED, Status.EXPIRED} and not found.closed:
                raise Conflict(f"is {found.status.value}, and its messages are still being ended: try again soon")
            if await self.store.delete(found):
                await self.audit.note(actor, "deleted", campaign_id, {})
                return


@dataclass(frozen=True, slots=True)
class SteerCampaigns:
    """What an owner may do with the life of a campaign."""

    read: ReadCampaigns
    audiences: Audiences
    news: CampaignNews
    audit: Audit
    now: Clock

    async def start(self, actor: Actor, campaign_id: int) -> Campaign:
        """At once; one that is scheduled starts by itself when its time comes, and stays as it is. Raises NotFound,
        Conflict."""
        found = await self.read.one(actor.user_id, campaign_id)
        if found.status in {Status.SCHEDULED, Status.RUNNING}:
            return found
        if found.status is Status.PAUSED:
            raise Conflict("is paused: resume it")
        return await self._move(actor, campaign_id, Status.RUNNING, "started", {Status.DRAFT})

    async def pause(self, actor: Actor, campaign_id: int) -> Campaign:
        """What is being sent at this moment ends as it ends. Raises NotFound, Conflict."""
        return await self._move(actor, campaign_id, Status.PAUSED, "paused", {Status.RUNNING})

    async def resume(self, actor: Actor, campaign_id: int) -> Campaign:
        """Raises NotFound, Conflict."""
        return await self._move(actor, campaign_id, Status.RUNNING, "resumed", {Status.PAUSED})

    async def cancel(self, actor: Actor, campaign_id: int) -> Campaign:
        """For good. What is being sent at this moment ends as it ends. Raises NotFound, Conflict."""
        return await self._move(actor, campaign_id, Status.CANCELLED, "cancelled", frozenset(Status) - OVER)

    async def _move(self, actor: Actor, campaign_id: int, to: Status, done: str, here: Collection[Status]) -> Campaign:
        while True:
            found = await self.read.one(actor.user_id, campaign_id)
            if found.status is to:
                return found
            now = self.now()
            if to is Status.RUNNING and found.end_at is not None and found.end_at <= now:
                raise Conflict("its end has come")
            moved = found.moved(to, now, "by its owner" if to is Status.CANCELLED else None)
            if found.status not in here:
                raise Conflict(f"is {found.status.value}: only what is {_words(here)} can be {done}")
            audience = await whom(found, self.audiences) if to is Status.RUNNING else found.audience
            if audience is None:
                raise Conflict(_AUDIENCE_GONE)
            if saved := await self.read.store.save(replace(moved, audience=audience)):
                await self.audit.note(actor, done, campaign_id, {})
                await wake_or_leave(self.news, campaign_id)
                return saved


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a campaign would come to. Nothing is sent, and nothing is kept."""

    read: ReadCampaigns
    audiences: Audiences
    crowds: Crowds
    channels: ChannelsOf
    kinds: ChannelKinds
    tariff: Tariff
    now: Clock

    async def __call__(self, owner_id: int, campaign_id: int) -> Estimate:
        """Raises NotFound, Conflict."""
        campaign = await self.read.one(owner_id, campaign_id)
        audience = await whom(campaign, self.audiences)
        if audience is None:
            raise Conflict(_AUDIENCE_GONE)
        crowds = await self.crowds.count(owner_id, audience)
        channels = await self.channels.usable(owner_id)
        return estimate(campaign, crowds, channels, self.kinds, self.tariff, self.now())


@dataclass(frozen=True, slots=True)
class SendToAll:
    """A template to all contacts, at once."""

    store: CampaignStore
    draw_up: DrawUp
    news: CampaignNews
    audit: Audit
    now: Clock

    async def __call__(self, actor: Actor, template_id: int, key: str | None) -> Campaign:
        """Raises NotFound for a template that is not there; Conflict where the key named another one. The same key and
        template again: the campaign of then, also when the template is gone."""
        plan = Plan(name=f"Template {template_id} to all contacts", template_id=template_id)
        mark = None if key is None else f"send-notification {key}"
        if mark is not None and (known := await self.store.known(actor.user_id, mark)):
            return _again(known, same=known.content.template_id == template_id)
        try:
            drawn = await self.draw_up(actor.user_id, plan)
        except Invalid as error:
            raise NotFound(error.reason) from error
        made, new = await self.store.add(drawn.moved(Status.RUNNING, self.now()), mark)
        if not new:
            return _again(made, same=made.content.template_id == template_id)
        await self.audit.note(actor, "started", made.id, {"template_id": template_id})
        await wake_or_leave(self.news, made.id)
        return made


def _same(made: Campaign, asked: Plan) -> Campaign:
    """Raises Conflict where they do not mean the same. The template may have got another version since."""
    one, other = plan_of(made), replace(asked, route=tuple(asked.route))
    if other.template_id is not None:
        other = replace(other, subject=None)
    if other.audience_id is not None:
        other = replace(other, audience=EVERYBODY)
    return _again(made, same=replace(one, template_version=None) == replace(other, template_version=None))


def _again(made: Campaign, *, same: bool) -> Campaign:
    if not same:
        raise Conflict(f"this idempotency key was used for campaign {made.id}, with other content")
    return made


async def wake_or_leave(news: CampaignNews, campaign_id: int) -> None:
    """The row is there: where no wake-up can be sent the scheduler finds it."""
    try:
        await news.wake_campaign(campaign_id)
    except Unavailable as error:
        log.warning("wake-up delayed", extra={"campaign_id": campaign_id, "reason": error.reason})


def _said(name: str) -> str:
    """A field of Plan, as whoever asks calls it."""
    first, *others = {"audience_id": "audience", "window": "send_window"}.get(name, name).split("_")
    return first + "".join(other.capitalize() for other in others)


def _words(statuses: Collection[Status]) -> str:
    return " or ".join(sorted(statuses))
