"""Routes of templates."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.pages import Cursor, Limit, NextCursor
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.contract import Variables
from gonets.core.identity.model import Principal
from gonets.core.templates import rendering
from gonets.core.templates.model import (
    LONGEST_BODY,
    LONGEST_NAME,
    LONGEST_SUBJECT,
    Content,
    Estimate,
    Preview,
    Template,
    Version,
)
from gonets.core.templates.use_cases import Change, ManageTemplates, PreviewTemplate

# The limits are for readers: the core checks them, and names all fields that are wrong at once.
Name = Annotated[
    StrictStr,
    Field(
        description="Yours, and unique among yours",
        examples=["welcome"],
        json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME},
    ),
]
Body = Annotated[
    StrictStr,
    Field(
        description='Variables: {{ name }}, {{ city | default("your city") }}; \\{{ for the braces themselves',
        examples=['Здравствуйте, {{ name | default("друг") }}! Ваш код: {{ code }}'],
        json_schema_extra={"minLength": 1, "maxLength": LONGEST_BODY},
    ),
]
Subject = Annotated[
    StrictStr | None,
    Field(description="Of an e-mail", examples=["Код"], json_schema_extra={"maxLength": LONGEST_SUBJECT}),
]


class TemplateBody(Asked):
    """A text with variables."""

    name: Name
    body: Body
    subject: Subject = None


class TemplateChange(Asked):
    """What is to be different: what is left out stays, and a subject of null is taken away."""

    name: Name = ""
    body: Body = ""
    subject: Subject = None

    def to_change(self) -> Change:
        given = self.model_fields_set
        return Change(
            name=self.name if "name" in given else None,
            body=self.body if "body" in given else None,
            subject=self.subject,
            no_subject="subject" in given and self.subject is None,
        )


class VariableView(Answer):
    """A place in the text that a value takes."""

    name: str
    required: Annotated[bool, Field(description="It stands somewhere without a default")]

    @classmethod
    def several(cls, content: Content) -> list["VariableView"]:
        texts = [content.body] if content.subject is None else [content.subject, content.body]
        found = [rendering.compile(text) for text in texts]
        required = {name for one in found for name in one.required}
        return [
            cls(name=name, required=name in required)
            for name in dict.fromkeys(name for one in found for name in one.variables)
        ]


class TemplateView(Answer):
    """A template at its latest version. Times are RFC 3339 in UTC."""

    id: int
    name: str
    version: Annotated[int, Field(description="Grows with each change of body or subject")]
    subject: str | None
    body: str
    variables: Sequence[VariableView]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, template: Template) -> "TemplateView":
        return cls(
            id=template.id,
            name=template.name,
            version=template.version,
            subject=template.content.subject,
            body=template.content.body,
            variables=VariableView.several(template.content),
            created_at=template.created_at,
            updated_at=template.updated_at,
        )


class TemplateList(Answer):
    """One page, latest first."""

    templates: Sequence[TemplateView]
    next_cursor: NextCursor


class VersionView(Answer):
    """What a template said, or says. It never changes."""

    version: int
    subject: str | None
    body: str
    variables: Sequence[VariableView]
    created_at: datetime

    @classmethod
    def of(cls, version: Version) -> "VersionView":
        return cls(
            version=version.number,
            subject=version.content.subject,
            body=version.content.body,
            variables=VariableView.several(version.content),
            created_at=version.created_at,
        )


class VersionList(Answer):
    """Latest first."""

    versions: Sequence[VersionView]
    next_before: Annotated[int | None, Field(description="Give it as `before` for older ones; null: these are all")]


class PreviewBody(Asked):
    """For whom it is to be shown: a contact, values, or both; values win."""

    contact_id: Annotated[
        Annotated[StrictInt, Field(ge=1, le=MAX_ID)] | None, Field(description="A contact of yours", examples=[1])
    ] = None
    variables: Annotated[Variables | None, Field(examples=[{"name": "Анна", "code": 4711}])] = None
    version: Annotated[
        Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None, Field(description="Left out: the latest", examples=[1])
    ] = None


class SmsView(Answer):
    """How the text travels as SMS."""

    encoding: Annotated[str, Field(description="gsm7, or ucs2 where a character is not in it", examples=["ucs2"])]
    segments: Annotated[int, Field(description="Messages that it is charged as")]
    characters: int


class EstimateView(Answer):
    """What it costs by channels of one type."""

    channel_type: Annotated[str, Field(examples=["SMS_TWILIO"])]
    segments: int
    price_per_segment: Annotated[float | None, Field(description="As the operator set it; null: nobody has said")]
    total: float | None
    currency: Annotated[str, Field(examples=["RUB"])]
    note: Annotated[str | None, Field(description="Why there is no total")]

    @classmethod
    def of(cls, estimate: Estimate, currency: str) -> "EstimateView":
        return cls(
            channel_type=estimate.channel_type,
            segments=estimate.segments,
            price_per_segment=estimate.price,
            total=estimate.total,
            currency=currency,
            note="the price is not known: SMS_PRICES does not name this type" if estimate.price is None else None,
        )


class PreviewView(Answer):
    """What the person would get."""

    version: int
    subject: str | None
    text: str
    sms: SmsView
    estimates: Sequence[EstimateView]

    @classmethod
    def of(cls, preview: Preview, currency: str) -> "PreviewView":
        text = preview.rendered.text
        return cls(
            version=preview.version,
            subject=preview.rendered.subject,
            text=text,
            sms=SmsView(encoding=preview.sms.alphabet, segments=preview.sms.segments, characters=len(text)),
            estimates=[EstimateView.of(one, currency) for one in preview.estimates],
        )


_CREATED: Mapping[str, object] = {"Location": {"description": "Where the template is", "schema": {"type": "string"}}}

TemplateId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(
    manage: ManageTemplates, preview: PreviewTemplate, currency: str, who: Callable[..., Awaitable[Principal]]
) -> APIRouter:
    """`/templates`. `currency`: of prices; `who`: yields the principal, as Security gives it."""
    templates = APIRouter(prefix="/templates", tags=["templates"], route_class=JsonRoute)
    User = Annotated[Principal, Depends(who)]  # noqa: N806 - a type

    @templates.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Create a template",
        responses={201: {"headers": _CREATED}, **responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN)},
    )
    async def create_template(user: User, body: TemplateBody, response: Response) -> TemplateView:
        template = await manage.create(user, body.name, Content(body.body, body.subject))
        response.headers["Location"] = f"/api/v1/templates/{template.id}"
        return TemplateView.of(template)

    @templates.get("", summary="List your templates, latest first", responses=responses(*OWN))
    async def list_templates(
        user: User,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> TemplateList:
        page = await manage.page(user.user_id, cursor=cursor, limit=limit)
        return TemplateList(templates=[TemplateView.of(one) for one in page.templates], next_cursor=page.next_cursor)

    @templates.get("/{template_id:int}", summary="Look at one template", responses=responses(*ONE))
    async def get_template(user: User, template_id: TemplateId) -> TemplateView:
        return TemplateView.of(await manage.get(user.user_id, template_id))

    @templates.put(
        "/{template_id:int}",
        summary="Replace a template",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *ONE),
    )
    async def replace_template(user: User, template_id: TemplateId, body: TemplateBody) -> TemplateView:
        """Another text makes a new version."""
        change = Change(name=body.name, body=body.body, subject=body.subject, no_subject=body.subject is None)
        return TemplateView.of(await manage.change(user, template_id, change))

    @templates.patch(
        "/{template_id:int}",
        summary="Change a template",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *ONE),
    )
    async def change_template(user: User, template_id: TemplateId, body: TemplateChange) -> TemplateView:
        """Another text makes a new version; what is left out stays."""
        return TemplateView.of(await manage.change(user, template_id, body.to_change()))

    @templates.delete(
        "/{template_id:int}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Delete a template with its versions",
        responses=responses(*ONE),
    )
    async def delete_template(user: User, template_id: TemplateId) -> None:
        """What was sent by it keeps its text."""
        await manage.delete(user, template_id)

    @templates.get("/{template_id:int}/versions", summary="List what it said, latest first", responses=responses(*ONE))
    async def list_template_versions(
        user: User,
        template_id: TemplateId,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only versions older than this")] = None,
        limit: Limit = 50,
    ) -> VersionList:
        found = await manage.versions(user.user_id, template_id, below=before, limit=limit)
        more = len(found) == limit and found[-1].number > 1
        return VersionList(
            versions=[VersionView.of(one) for one in found], next_before=found[-1].number if more else None
        )

    @templates.get("/{template_id:int}/versions/{version}", summary="Look at one version", responses=responses(*ONE))
    async def get_template_version(
        user: User, template_id: TemplateId, version: Annotated[int, Path(ge=1, le=2**31 - 1)]
    ) -> VersionView:
        return VersionView.of(await manage.version(user.user_id, template_id, version))

    @templates.post(
        "/{template_id:int}/preview",
        summary="See what one person would get, and what it costs",
        responses=responses(TOO_LARGE, *ONE),
    )
    async def preview_template(user: User, template_id: TemplateId, body: PreviewBody) -> PreviewView:
        """Nothing is sent. A variable without a value is named."""
        found = await preview(user.user_id, template_id, body.variables or {}, body.contact_id, body.version)
        return PreviewView.of(found, currency)

    return templates
