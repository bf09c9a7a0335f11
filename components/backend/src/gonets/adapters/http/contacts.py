"""Routes of contacts."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.contacts import model
from gonets.core.contacts.model import LONGEST_NAME, Contact
from gonets.core.contacts.use_cases import Given, ManageContacts
from gonets.core.identity.model import Principal

# The limits are for readers: the core checks them, and names all fields that are wrong at once.
Name = Annotated[
    StrictStr,
    Field(examples=["Анна Смирнова"], json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME}),
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


class _Kept(Asked):
    """`id`, `createdAt` and `updatedAt` may come along, as an answer had them, and change nothing."""

    id: Annotated[StrictInt | None, Field(description="Changes nothing", examples=[1])] = None
    created_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None
    updated_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None

    def to_given(self) -> Given:
        given: dict[model.Field, Any] = {
            model.Field.NAME: getattr(self, "name", None),
            model.Field.PHONE: getattr(self, "phone", None),
            model.Field.EMAIL: getattr(self, "email", None),
            model.Field.TELEGRAM_CHAT_ID: getattr(self, "telegram_chat_id", None),
        }
        sent = {type(self).model_fields[name].alias for name in self.model_fields_set}
        return {field: value for field, value in given.items() if field in sent}


class ContactBody(_Kept):
    """A person with their addresses; what is left out, they have not."""

    name: Name
    phone: Phone = None
    email: Email = None
    telegram_chat_id: ChatId = None


class ContactChange(_Kept):
    """What is to be different: what is left out stays, and null takes an address away."""

    name: Name = ""
    phone: Phone = None
    email: Email = None
    telegram_chat_id: ChatId = None


class ContactView(Answer):
    """A contact. Times are RFC 3339 in UTC."""

    id: int
    name: str
    phone: Annotated[str | None, Field(description="E.164", examples=["+79161234567"])]
    email: str | None
    telegram_chat_id: str | None
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
            created_at=contact.created_at,
            updated_at=contact.updated_at,
        )


class ContactList(Answer):
    """One page, latest first."""

    contacts: Sequence[ContactView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


_CREATED = {"Location": {"description": "Where the contact is", "schema": {"type": "string"}}}

ContactId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(manage: ManageContacts, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    contacts = APIRouter(prefix="/contacts", tags=["contacts"], route_class=JsonRoute)
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type

    @contacts.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Create a contact",
        responses={201: {"headers": _CREATED}, **responses(TOO_LARGE, *OWN)},
    )
    async def create_contact(who: Who, body: ContactBody, response: Response) -> ContactView:
        contact = await manage.create(who, body.to_given())
        response.headers["Location"] = f"/api/v1/contacts/{contact.id}"
        return ContactView.of(contact)

    @contacts.get("", summary="List your contacts, latest first", responses=responses(*OWN))
    async def list_contacts(
        who: Who,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> ContactList:
        page = await manage.page(who.user_id, cursor=cursor, limit=limit)
        return ContactList(
            contacts=[ContactView.of(contact) for contact in page.contacts], next_cursor=page.next_cursor
        )

    @contacts.get("/{contact_id}", summary="Look at one contact", responses=responses(*ONE))
    async def get_contact(who: Who, contact_id: ContactId) -> ContactView:
        return ContactView.of(await manage.get(who.user_id, contact_id))

    @contacts.put("/{contact_id}", summary="Replace a contact", responses=responses(TOO_LARGE, *ONE))
    async def replace_contact(who: Who, contact_id: ContactId, body: ContactBody) -> ContactView:
        """What is left out is taken away."""
        return ContactView.of(await manage.replace(who, contact_id, body.to_given()))

    @contacts.patch("/{contact_id}", summary="Change a contact", responses=responses(TOO_LARGE, *ONE))
    async def change_contact(who: Who, contact_id: ContactId, body: ContactChange) -> ContactView:
        """What is left out stays; null takes an address away (RFC 7396)."""
        return ContactView.of(await manage.change(who, contact_id, body.to_given()))

    @contacts.delete(
        "/{contact_id}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Delete a contact",
        responses=responses(*ONE),
    )
    async def delete_contact(who: Who, contact_id: ContactId) -> None:
        await manage.delete(who, contact_id)

    return contacts
