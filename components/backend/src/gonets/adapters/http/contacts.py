"""Routes of contacts."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.pages import Cursor, Limit, NextCursor
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.contacts import model
from gonets.core.contacts.audience import LONGEST_TAG, MOST_VALUES, Audience, audience_of
from gonets.core.contacts.crowds import TagContacts
from gonets.core.contacts.enrichment import EnrichContacts, Enrichment, EnrichmentStatus
from gonets.core.contacts.exports import ExportContacts, ExportFormat
from gonets.core.contacts.fields import Given
from gonets.core.contacts.model import LONGEST_NAME, Contact
from gonets.core.contacts.use_cases import ManageContacts
from gonets.core.identity.model import Principal
from gonets.core.shared.errors import Invalid

# The limits are for readers: the core checks them, and names all fields that are wrong at once.
Name = Annotated[
    StrictStr | None,
    Field(
        description="Empty where nobody said it",
        examples=["Анна Смирнова"],
        json_schema_extra={"maxLength": LONGEST_NAME},
    ),
]
Phone = Annotated[
    StrictStr | None,
    Field(
        description="As a person types it; kept as +79161234567. Without a country: CONTACTS_PHONE_REGION",
        examples=["8 916 123-45-67"],
    ),
]
Email = Annotated[StrictStr | None, Field(examples=["anna@example.com"])]
ChatId = Annotated[
    StrictStr | StrictInt | None,
    Field(description="The number of a chat with your bot, or @channelname", examples=["123456789"]),
]
Tags = Annotated[list[StrictStr] | None, Field(examples=[["vip", "moscow"]])]
Zone = Annotated[
    StrictStr | None,
    Field(description="IANA. Left out, the phone proposes it", examples=["Europe/Moscow"]),
]
OperatorCode = Annotated[
    StrictStr | None,
    Field(description="Left out, of a Russian number the three digits after +7", examples=["916"]),
]
Attributes = Annotated[
    dict[str, StrictStr | StrictBool | StrictInt | StrictFloat] | None,
    Field(description="For templates", examples=[{"city": "Москва", "orders": 3}]),
]
Consent = Annotated[StrictBool | None, Field(description="null: nobody said", examples=[True])]
ConsentAt = Annotated[
    StrictStr | None,
    Field(description="Left out, when consent was said to us", examples=["2026-01-31T12:00:00Z"]),
]


class _Person(Asked):
    """What create, replace and change have in common. `id`, `createdAt`, `updatedAt` and what a provider said may come
    along, as an answer had them, and change nothing."""

    id: Annotated[StrictInt | None, Field(description="Changes nothing", examples=[1])] = None
    operator: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None
    quality_code: Annotated[StrictInt | None, Field(description="Changes nothing", examples=[None])] = None
    created_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None
    updated_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None
    name: Name = None
    phone: Phone = None
    email: Email = None
    telegram_chat_id: ChatId = None
    tags: Tags = None
    timezone: Zone = None
    operator_code: OperatorCode = None
    attributes: Attributes = None
    consent: Consent = None
    consent_at: ConsentAt = None

    def to_given(self) -> Given:
        names = {type(self).model_fields[name].alias: name for name in self.model_fields_set}
        return {field: getattr(self, names[field]) for field in model.Field if field in names}


class ContactBody(_Person):
    """A person with their addresses; what is left out, they have not."""


class ContactChange(_Person):
    """What is to be different: what is left out stays, and null takes a value away. `tags` and `attributes` are
    replaced as a whole."""


class ContactView(Answer):
    """A contact. Times are RFC 3339 in UTC."""

    id: int
    name: str
    phone: Annotated[str | None, Field(description="E.164", examples=["+79161234567"])]
    email: str | None
    telegram_chat_id: str | None
    tags: Sequence[str]
    timezone: str | None
    operator_code: str | None
    operator: Annotated[str | None, Field(description="Its name, as Dadata says it")]
    attributes: dict[str, str | bool | int | float]
    consent: bool | None
    consent_at: datetime | None
    quality_code: Annotated[int | None, Field(description="Dadata's qc of the phone; 0: it is good")]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, contact: Contact) -> "ContactView":
        return cls(
            id=contact.id,
            name=contact.name,
            phone=contact.phone,
            email=contact.email,
            telegram_chat_id=contact.telegram_chat_id,
            tags=contact.tags,
            timezone=contact.timezone,
            operator_code=contact.operator_code,
            operator=contact.operator,
            attributes=dict(contact.attributes),
            consent=contact.consent,
            consent_at=contact.consent_at,
            quality_code=contact.quality_code,
            created_at=contact.created_at,
            updated_at=contact.updated_at,
        )


class ContactList(Answer):
    """One page. A page may be short, even empty, before the last one: only `nextCursor` tells."""

    contacts: Sequence[ContactView]
    next_cursor: NextCursor


_CHANGED = responses(HTTPStatus.CONFLICT, TOO_LARGE, *ONE)
_CREATED = {"Location": {"description": "Where the contact is", "schema": {"type": "string"}}}

ContactId = Annotated[int, Path(ge=1, le=MAX_ID)]
_Values = Annotated[list[str], Query(max_length=MOST_VALUES)]


def _audience(
    tag: Annotated[_Values, Query(description=f"Who has any of these; up to {LONGEST_TAG} characters")] = [],  # noqa: B006
    tag_all: Annotated[_Values, Query(alias="tagAll", description="Who has all of these")] = [],  # noqa: B006
    tag_none: Annotated[_Values, Query(alias="tagNone", description="Who has none of these")] = [],  # noqa: B006
    operator_code: Annotated[_Values, Query(alias="operatorCode", description="Any of these")] = [],  # noqa: B006
    timezone: Annotated[_Values, Query(description="Any of these")] = [],  # noqa: B006
) -> Audience:
    """Each may be given several times."""
    return audience_of(
        {
            "tags": {"any": [*tag], "all": [*tag_all], "none": [*tag_none]},
            "operatorCodes": [*operator_code],
            "timezones": [*timezone],
        },
        "query",
    )


Meant = Annotated[Audience, Depends(_audience)]

_MEDIA = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FILE = {"description": "The file", "content": {media: {"schema": {"type": "string"}} for media in _MEDIA.values()}}
MOST_IDS = 10_000


class WhomBody(Asked):
    """The contacts with these ids, or all of an audience."""

    ids: Annotated[list[StrictInt] | None, Field(max_length=MOST_IDS, examples=[[1, 2]])] = None
    audience: Annotated[
        dict[str, Any] | None, Field(description="In place of `ids`; {} is everybody", examples=[None])
    ] = None

    def whom(self) -> Audience | list[int]:
        """Raises Invalid."""
        if (self.ids is None) == (self.audience is None):
            raise Invalid("ids", "must be given, or `audience`, but not both")
        if self.ids is None:
            return audience_of(self.audience)
        if not all(1 <= one <= MAX_ID for one in self.ids):
            raise Invalid("ids", f"must be integers from 1 to {MAX_ID}")
        return self.ids


class TagBody(WhomBody):
    """Tags for these contacts."""

    add: Annotated[Sequence[StrictStr], Field(examples=[["vip"]])] = ()
    remove: Annotated[Sequence[StrictStr], Field(examples=[["new"]])] = ()


class Asking(Answer):
    """How many contacts the provider is asked about."""

    asked: int


class EnrichmentView(Answer):
    """How far the last question about a contact is."""

    status: EnrichmentStatus
    task_id: Annotated[int | None, Field(description="The task by which the provider is asked")]
    reason: Annotated[str | None, Field(description="Why it failed")]

    @classmethod
    def of(cls, found: Enrichment) -> "EnrichmentView":
        return cls(status=found.status, task_id=found.task_id, reason=found.reason)


class Tagged(Answer):
    """How many contacts are different now."""

    changed: int


def router(
    manage: ManageContacts,
    export: ExportContacts,
    tag: TagContacts,
    enrich: EnrichContacts,
    authenticated: Callable[..., Awaitable[Principal]],
) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    contacts = APIRouter(prefix="/contacts", tags=["contacts"], route_class=JsonRoute)
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type

    @contacts.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Create a contact",
        responses={201: {"headers": _CREATED}, **responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN)},
    )
    async def create_contact(who: Who, body: ContactBody, response: Response) -> ContactView:
        contact = await manage.create(who, body.to_given())
        response.headers["Location"] = f"/api/v1/contacts/{contact.id}"
        return ContactView.of(contact)

    @contacts.get("", summary="List, search and filter your contacts", responses=responses(*OWN))
    async def list_contacts(
        who: Who,
        meant: Meant,
        search: Annotated[
            str | None,
            Query(description="The beginning of a phone, an e-mail address or a name", examples=["8 916"]),
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> ContactList:
        """Latest first; of a search those found by phone, then by e-mail address, then by name. A page may be short,
        and even empty, where few of very many contacts are meant: go on while there is a `nextCursor`."""
        page = await manage.page(who.user_id, meant, search, cursor=cursor, limit=limit)
        return ContactList(
            contacts=[ContactView.of(contact) for contact in page.contacts], next_cursor=page.next_cursor
        )

    @contacts.get(
        "/export",
        summary="Export contacts as a file",
        response_class=StreamingResponse,
        responses={200: _FILE, **responses(*OWN)},
    )
    async def export_contacts(
        who: Who, meant: Meant, wanted: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.CSV
    ) -> StreamingResponse:
        """Sent while it is read, as the contacts are at one moment; filtered as the list is. No cell can be run as a
        formula: in CSV an apostrophe is put before what a spreadsheet would compute, which an import takes away."""
        portions = export(who.user_id, meant, wanted)
        first = await anext(portions)
        return StreamingResponse(
            _joined(first, portions),
            media_type=_MEDIA[wanted],
            headers={"Content-Disposition": f'attachment; filename="contacts.{wanted.value}"'},
        )

    @contacts.post("/tags", summary="Tag many contacts", responses=responses(TOO_LARGE, *OWN))
    async def tag_contacts(who: Who, body: TagBody) -> Tagged:
        """Asked again, it changes nothing more. Ids that are none of yours count for nothing, and a contact that would
        have too many tags stays as it is."""
        return Tagged(changed=await tag(who, body.whom(), body.add, body.remove))

    @contacts.post(
        "/enrich",
        status_code=HTTPStatus.ACCEPTED,
        summary="Ask the provider about many phones",
        responses=responses(TOO_LARGE, *OWN),
    )
    async def enrich_contacts(who: Who, body: WhomBody) -> Asking:
        """Each is a task, and is paid for as one. Who has no phone, or is being asked about, is left out."""
        return Asking(asked=await enrich.many(who, body.whom()))

    @contacts.post(
        "/{contact_id:int}/enrich",
        status_code=HTTPStatus.ACCEPTED,
        summary="Ask the provider about a contact's phone",
        responses=responses(HTTPStatus.CONFLICT, *ONE),
    )
    async def enrich_contact(who: Who, contact_id: ContactId) -> EnrichmentView:
        """Its time zone, operator and quality code come to the contact when the task is done. Asked again meanwhile, it
        is not paid for again."""
        return EnrichmentView.of(await enrich.one(who, contact_id))

    @contacts.get(
        "/{contact_id:int}/enrich", summary="See how far a question about a contact is", responses=responses(*ONE)
    )
    async def get_enrichment(who: Who, contact_id: ContactId) -> EnrichmentView:
        return EnrichmentView.of(await enrich.read(who.user_id, contact_id))

    @contacts.get("/{contact_id:int}", summary="Look at one contact", responses=responses(*ONE))
    async def get_contact(who: Who, contact_id: ContactId) -> ContactView:
        return ContactView.of(await manage.get(who.user_id, contact_id))

    @contacts.put("/{contact_id:int}", summary="Replace a contact", responses=_CHANGED)
    async def replace_contact(who: Who, contact_id: ContactId, body: ContactBody) -> ContactView:
        """What is left out is taken away."""
        return ContactView.of(await manage.replace(who, contact_id, body.to_given()))

    @contacts.patch("/{contact_id:int}", summary="Change a contact", responses=_CHANGED)
    async def change_contact(who: Who, contact_id: ContactId, body: ContactChange) -> ContactView:
        """What is left out stays; null takes an address away (RFC 7396)."""
        return ContactView.of(await manage.change(who, contact_id, body.to_given()))

    @contacts.delete(
        "/{contact_id:int}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Delete a contact",
        responses=responses(*ONE),
    )
    async def delete_contact(who: Who, contact_id: ContactId) -> None:
        await manage.delete(who, contact_id)

    return contacts


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    # Whoever hangs up in the middle leaves no transaction open.
    async with aclosing(rest):
        yield first
        async for portion in rest:
            yield portion
