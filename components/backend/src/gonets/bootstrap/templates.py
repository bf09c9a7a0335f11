"""Templates, put together: for the API and the worker."""

from collections.abc import Mapping
from dataclasses import dataclass

from gonets.adapters.postgres.contacts import PostgresContacts
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.templates import PostgresTemplates
from gonets.core.channels.model import ChannelType, Message
from gonets.core.channels.sms_text import segmented
from gonets.core.notifications.model import TemplateUse
from gonets.core.shared.audit import Audit
from gonets.core.templates.model import SmsShape
from gonets.core.templates.rendering import Values, of_contact
from gonets.core.templates.use_cases import ManageTemplates, PreviewTemplate, RenderTemplate
from gonets.settings import Sms as SmsSettings

_SMS = (ChannelType.SMS_TWILIO, ChannelType.SMS_SMSAERO, ChannelType.SMS_EMAIL_GATEWAY, ChannelType.SMS_SMPP)


@dataclass(frozen=True, slots=True)
class ValuesOf:
    """Contacts, as templates see them."""

    contacts: PostgresContacts

    async def values(self, owner_id: int, contact_id: int) -> Values | None:
        found = await self.contacts.get(owner_id, contact_id)
        if found is None:
            return None
        return of_contact(
            found.attributes, name=found.name, phone=found.phone, email=found.email, timezone=found.timezone
        )


@dataclass(frozen=True, slots=True)
class TemplatesOf:
    """Templates, as notifications see them."""

    render: RenderTemplate

    async def written(self, owner_id: int, use: TemplateUse, contact_id: int | None) -> Message:
        rendered = await self.render(owner_id, use.template, use.variables, contact_id)
        return Message(rendered.text, rendered.subject)


def render(pool: Pool) -> RenderTemplate:
    return RenderTemplate(PostgresTemplates(pool), ValuesOf(PostgresContacts(pool)))


@dataclass(frozen=True)
class Doors:
    """What people can ask of templates."""

    manage: ManageTemplates
    preview: PreviewTemplate


def doors(pool: Pool, audit: Audit, settings: SmsSettings) -> Doors:
    manage = ManageTemplates(PostgresTemplates(pool), audit)
    return Doors(manage, PreviewTemplate(manage, render(pool), sms, prices(settings)))


def sms(text: str) -> SmsShape:
    found = segmented(text)
    return SmsShape(found.alphabet.value, len(found.parts))


def prices(settings: SmsSettings) -> Mapping[str, float | None]:
    """Of a segment by each type of channel that sends SMS."""
    return {one.value: settings.price_of.get(one.value) for one in _SMS}
