"""Routes of addresses that must not be written to."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.contacts.suppression import (
    LONGEST_REASON,
    MOST_AT_ONCE,
    Imported,
    Kind,
    ManageSuppressions,
    Source,
    Suppression,
    Typed,
)
from gonets.core.identity.model import Principal
from gonets.core.shared.errors import Invalid

Address = Annotated[
    StrictStr | StrictInt,
    Field(
        description="As a person types it. With @ inside an e-mail, with @ first a Telegram channel, else a phone",
        examples=["8 916 123-45-67"],
    ),
]


class SuppressionBody(Asked):
    """One address, or many: all of one kind where `kind` is given."""

    address: Annotated[Address | None, Field(description="One; or give `addresses`")] = None
    addresses: Annotated[
        tuple[Address, ...], Field(max_length=MOST_AT_ONCE, description="Many", examples=[["anna@example.com"]])
    ] = ()
    kind: Annotated[
        Kind | None, Field(description="Left out: found out from the address; must be given for a chat's number")
    ] = None
    reason: Annotated[
        StrictStr | None, Field(max_length=LONGEST_REASON, description="For people", examples=["asked by phone"])
    ] = None

    def typed(self) -> list[Typed]:
        if (self.address is None) == (not self.addresses):
            raise Invalid("address", "must be given, or addresses: one of the two")
        given = self.addresses if self.address is None else (self.address,)
        return [Typed(str(address), self.kind, self.reason) for address in given]


class SuppressionView(Answer):
    """An address of the list. Times are RFC 3339 in UTC."""

    id: int
    kind: Kind
    address: Annotated[str, Field(description="E.164, or in lower case", examples=["+79161234567"])]
    reason: str | None
    source: Source
    created_at: datetime

    @classmethod
    def of(cls, suppression: Suppression) -> "SuppressionView":
        return cls(
            id=suppression.id,
            kind=suppression.kind,
            address=suppression.address,
            reason=suppression.reason,
            source=suppression.source,
            created_at=suppression.created_at,
        )


class SuppressionList(Answer):
    """One page, latest first."""

    suppressions: Sequence[SuppressionView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class AddedView(Answer):
    """What is on the list now, each address once."""

    added: Annotated[int, Field(description="That were not there")]
    known: Annotated[int, Field(description="That were; they stay as they are")]
    suppressions: Sequence[SuppressionView]

    @classmethod
    def of(cls, added: Sequence[tuple[Suppression, bool]]) -> "AddedView":
        new = sum(is_new for _, is_new in added)
        views = [SuppressionView.of(suppression) for suppression, _ in added]
        return cls(added=new, known=len(added) - new, suppressions=views)


class WrongLineView(Answer):
    """A line that was not taken."""

    line: Annotated[int, Field(description="From 1")]
    column: Annotated[int, Field(description="The character of the line at which its address begins, from 1")]
    reason: str


class ImportedView(Answer):
    """What came of an import."""

    read: Annotated[int, Field(description="Lines with something on them, a heading left out")]
    added: int
    known: Annotated[int, Field(description="That were on the list already, or came twice")]
    refused: Annotated[int, Field(description="That are no addresses")]
    wrong: Annotated[Sequence[WrongLineView], Field(description="The first of those")]

    @classmethod
    def of(cls, done: Imported) -> "ImportedView":
        wrong = [WrongLineView(line=one.line, column=one.column, reason=one.reason) for one in done.wrong]
        return cls(read=done.read, added=done.added, known=done.known, refused=done.refused, wrong=wrong)


_CSV = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string"}, "example": "phone\n+79161234567\n"}},
    }
}

PATH = "/suppressions/import"
_LONGEST_LINE = 1000  # bytes; no address has as many
_BOM = b"\xef\xbb\xbf"


def body_limits(most: int) -> Mapping[str, int]:
    """How many bytes the file may have."""
    return {PATH: most}


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """One after the other, as they come in; of one that no address has the length of, the beginning. Raises Invalid for
    what is not UTF-8."""
    number, left = 0, b""
    async for chunk in chunks:
        lines = (left + chunk).splitlines(keepends=True)
        # The last one may go on, and so may the end of a line.
        left = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(left) > _LONGEST_LINE:
            left = left[:_LONGEST_LINE] + left[-1:]
        for line in lines:
            number += 1
            yield _text(line, number)
    if left:
        yield _text(left, number + 1)


def _text(line: bytes, number: int) -> str:
    line = line.removeprefix(_BOM) if number == 1 else line
    try:
        return line.decode() if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE].decode(errors="ignore")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode()) + 1
        raise Invalid("body", f"must be UTF-8, and is not at line {number}, column {column}") from error


SuppressionId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(manage: ManageSuppressions, who: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`/suppressions`. `who`: yields the principal, as Security gives it."""
    suppressions = APIRouter(prefix="/suppressions", tags=["suppressions"], route_class=JsonRoute)
    User = Annotated[Principal, Depends(who)]  # noqa: N806 - a type

    @suppressions.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Put addresses on the list",
        responses=responses(TOO_LARGE, *OWN),
    )
    async def add_suppressions(user: User, body: SuppressionBody) -> AddedView:
        """From now on nothing is sent to them. Where one is wrong, none is added."""
        return AddedView.of(await manage.add(user, body.typed()))

    @suppressions.post(
        "/import",
        summary="Put a file of addresses on the list",
        responses=responses(TOO_LARGE, *OWN),
        openapi_extra=_CSV,
    )
    async def import_suppressions(user: User, request: Request) -> ImportedView:
        """UTF-8, an address on each line, with or without a heading. It is read while it comes in: what was taken
        before an error stays. Lines that are none are passed over and named; the same file again adds nothing twice."""
        return ImportedView.of(await manage.load(user, _lines(request.stream())))

    @suppressions.get("", summary="List the addresses, latest first", responses=responses(*OWN))
    async def list_suppressions(
        user: User,
        address: Annotated[str | None, Query(description="Only this one, as a person types it")] = None,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> SuppressionList:
        page = await manage.page(user.user_id, address, cursor=cursor, limit=limit)
        views = [SuppressionView.of(one) for one in page.suppressions]
        return SuppressionList(suppressions=views, next_cursor=page.next_cursor)

    @suppressions.get("/{suppression_id:int}", summary="Look at one address", responses=responses(*ONE))
    async def get_suppression(user: User, suppression_id: SuppressionId) -> SuppressionView:
        return SuppressionView.of(await manage.get(user.user_id, suppression_id))

    @suppressions.delete(
        "/{suppression_id:int}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Take an address off the list",
        responses=responses(*ONE),
    )
    async def delete_suppression(user: User, suppression_id: SuppressionId) -> None:
        """It may be written to again; a provider that refuses will put it back."""
        await manage.delete(user, suppression_id)

    return suppressions
