"""Addresses that must not be written to, whoever put them on the list: their owner, a provider, or the person."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gonets.core.contacts.ports import Phone
from gonets.core.shared import addresses
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Invalid, InvalidFields, NotFound
from gonets.core.shared.json import JSON

log = logging.getLogger(__name__)

LONGEST_REASON = 500
MOST_AT_ONCE = 1000
_MOST_WRONG = 100


class Kind(StrEnum):
    """Of an address, by its name on the wire."""

    PHONE = "phone"
    EMAIL = "email"
    TELEGRAM_CHAT_ID = "telegramChatId"


class Source(StrEnum):
    """Who put it on the list."""

    MANUAL = "manual"
    IMPORT = "import"
    STOP_REPLY = "stop-reply"
    """The person answered with a word such as STOP."""
    PROVIDER = "provider"
    """A provider refused to write to it, for the person has unsubscribed there."""


LIFTED_BY_START = frozenset({Source.STOP_REPLY, Source.PROVIDER})
"""What a person took back by answering START. What their owner entered stays."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be put on the list. `address` is E.164 or in lower case; see `matching`."""

    kind: Kind
    address: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address of the list."""

    id: int
    kind: Kind
    address: str
    reason: str | None
    source: Source
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    suppressions: Sequence[Suppression] = ()
    next_cursor: str | None = None


class SuppressionStore(Protocol):
    """The lists of all owners; each method sees one owner's and no others. Addresses are as `matching` gives them.
    Raises Unavailable; a call may be repeated."""

    async def add(self, owner_id: int, entries: Sequence[Entry], source: Source) -> Sequence[tuple[Suppression, bool]]:
        """In the order of `entries`, which name each address once. True: it is new; one that was there stays as it
        was."""

    async def get(self, owner_id: int, suppression_id: int) -> Suppression | None: ...

    async def page(
        self, owner_id: int, only: Sequence[tuple[Kind, str]] | None, *, cursor: str | None, limit: int
    ) -> SuppressionPage:
        """Latest first. `only`: these addresses. Raises Invalid for a cursor that is none of ours."""

    async def delete(self, owner_id: int, suppression_id: int) -> bool:
        """False where it is not there."""

    async def lift(self, owner_id: int, kind: Kind, address: str, sources: frozenset[Source]) -> bool:
        """Takes it off the list if one of these put it there."""

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        """Of these addresses, by kind, those that are on the list, spelt as they were asked for; kinds of which there
        are none may be missing. MUST ask once, however many they are."""


def matching(kind: Kind, address: str) -> str:
    """How an address that was checked is kept, so that each of its spellings is found."""
    return address if kind is Kind.PHONE else address.lower()


@dataclass(frozen=True, slots=True)
class Typed:
    """An address as somebody typed it. `kind` None: it is to be found out; digits are a phone number then."""

    address: str
    kind: Kind | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A line of an import that was not taken, and the character at which its address begins, both from 1."""

    line: int
    column: int
    reason: str


@dataclass(slots=True)
class Imported:
    """What came of an import: lines with an address, those that are new, those that were there, and those that are
    none, of which the first are in `wrong`."""

    read: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    wrong: list[WrongLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ManageSuppressions:
    """An owner's list: add, look, take off, import. Another owner's is not there."""

    store: SuppressionStore
    phone: Phone
    audit: Audit

    async def add(self, actor: Actor, typed: Sequence[Typed]) -> Sequence[tuple[Suppression, bool]]:
        """Each with whether it is new. Raises InvalidFields with every address that is wrong; then none is added."""
        entries: dict[tuple[Kind, str], Entry] = {}
        wrong: list[tuple[str, str]] = []
        for place, one in enumerate(typed):
            try:
                entry = self._checked(f"addresses.{place}" if len(typed) > 1 else "address", one)
            except Invalid as error:
                wrong.append((error.field, error.reason))
            else:
                entries.setdefault((entry.kind, entry.address), entry)
        if wrong:
            raise InvalidFields(wrong)
        added = await self.store.add(actor.user_id, list(entries.values()), Source.MANUAL)
        for suppression, new in added:
            if new:
                await self.audit.note(actor, "created", suppression.id, {"source": Source.MANUAL.value})
        return added

    async def get(self, owner_id: int, suppression_id: int) -> Suppression:
        """Raises NotFound."""
        found = await self.store.get(owner_id, suppression_id)
        if found is None:
            raise _absent(suppression_id)
        return found

    async def page(self, owner_id: int, address: str | None, *, cursor: str | None, limit: int) -> SuppressionPage:
        """Latest first. `address`: only this one, of whatever kind, as somebody typed it. Raises Invalid for a cursor
        that is none of ours."""
        only = None if address is None else self._readings(address)
        return await self.store.page(owner_id, only, cursor=cursor, limit=limit)

    async def delete(self, actor: Actor, suppression_id: int) -> None:
        """Raises NotFound."""
        if not await self.store.delete(actor.user_id, suppression_id):
            raise _absent(suppression_id)
        await self.audit.note(actor, "deleted", suppression_id, {})

    async def load(self, actor: Actor, lines: AsyncIterator[str]) -> Imported:
        """An address on each line; what is none is passed over. Empty lines, and a heading, do not count. What was
        added before an error stays: the same import again adds the rest."""
        done = Imported()
        chunk: dict[tuple[Kind, str], Entry] = {}
        number = 0
        async for line in lines:
            number += 1
            if number % MOST_AT_ONCE == 0:
                # Others get their turn, whatever the lines hold.
                await asyncio.sleep(0)
            address = line.strip().strip('",;').strip()
            if not address or (number == 1 and _HEADING.fullmatch(address)):
                continue
            done.read += 1
            try:
                entry = self._checked("address", Typed(address))
            except Invalid as error:
                done.refused += 1
                if len(done.wrong) < _MOST_WRONG:
                    done.wrong.append(WrongLine(number, line.index(address) + 1, error.reason))
                continue
            chunk[entry.kind, entry.address] = entry
            if len(chunk) == MOST_AT_ONCE:
                await self._load(actor, chunk, done)
        await self._load(actor, chunk, done)
        done.known = done.read - done.refused - done.added
        await self.audit.note(actor, "imported", 0, {"added": done.added, "known": done.known, "wrong": done.refused})
        return done

    async def _load(self, actor: Actor, chunk: dict[tuple[Kind, str], Entry], done: Imported) -> None:
        if chunk:
            added = await self.store.add(actor.user_id, list(chunk.values()), Source.IMPORT)
            done.added += sum(new for _, new in added)
            chunk.clear()

    def _checked(self, name: str, typed: Typed) -> Entry:
        kind = typed.kind or _kind(typed.address)
        return Entry(kind, matching(kind, self._normal(name, kind, typed.address)), typed.reason)

    def _normal(self, name: str, kind: Kind, address: str) -> str:
        match kind:
            case Kind.PHONE:
                return self.phone(name, address)
            case Kind.EMAIL:
                return addresses.email(name, address)
            case Kind.TELEGRAM_CHAT_ID:
                return addresses.telegram_chat_id(name, address)

    def _readings(self, address: str) -> Sequence[tuple[Kind, str]]:
        """What it may be, as each kind is kept."""
        found = []
        for kind in Kind:
            try:
                found.append((kind, matching(kind, self._normal("address", kind, address))))
            except Invalid:
                continue  # it is not of this kind
        return found


_HEADING = re.compile(r"[^\W\d][\w -]*")


def _kind(address: str) -> Kind:
    if "@" not in address:
        return Kind.PHONE
    return Kind.TELEGRAM_CHAT_ID if address.lstrip().startswith("@") else Kind.EMAIL


def _absent(suppression_id: int) -> NotFound:
    return NotFound(f"no suppression has the id {suppression_id}")


@dataclass(frozen=True, slots=True)
class HeedOptOuts:
    """What the list learns by itself: from providers, and from what people answer."""

    store: SuppressionStore
    audit: Audit

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        """Of these addresses, by kind, those that are on the list. Raises Unavailable."""
        return await self.store.among(owner_id, asked)

    async def opted_out(self, owner_id: int, kind: str, address: str, reason: str) -> None:
        """A provider says so. Raises Unavailable; a call may be repeated."""
        await self._add(owner_id, Kind(kind), address, reason[:LONGEST_REASON], Source.PROVIDER)

    async def answered(self, owner_ids: Sequence[int], sender: str, text: str) -> None:
        """A person answered messages of these owners from this number (E.164). Raises Unavailable; a call may be
        repeated."""
        said = word(text)
        for owner_id in owner_ids:
            if said is Word.STOP:
                await self._add(owner_id, Kind.PHONE, sender, f"answered {text.strip()[:50]}", Source.STOP_REPLY)
            elif said is Word.START and await self.store.lift(owner_id, Kind.PHONE, sender, LIFTED_BY_START):
                log.info("a suppression was lifted by the person", extra={"owner_id": owner_id})
                await self.audit.note(None, "lifted", 0, {"ownerId": owner_id, "source": Source.STOP_REPLY.value})

    async def _add(self, owner_id: int, kind: Kind, address: str, reason: str, source: Source) -> None:
        [(suppression, new)] = await self.store.add(owner_id, [Entry(kind, matching(kind, address), reason)], source)
        if new:
            facts: Mapping[str, JSON] = {"ownerId": owner_id, "source": source.value}
            log.info("an address was suppressed", extra={"suppression_id": suppression.id, "source": source.value})
            await self.audit.note(None, "created", suppression.id, facts)


class Word(StrEnum):
    """What a person may answer to say that they want no more messages, or want them again."""

    STOP = "stop"
    START = "start"


# The words that Twilio heeds by itself (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out), and Russian
# ones. Of its START words, YES is left out: it answers many a question.
_WORDS: Mapping[str, Word] = dict.fromkeys(
    (
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("стоп", "отписаться", "отписка", "отпишите", "отказ", "отказаться", "отмена"),
    ),
    Word.STOP,
) | dict.fromkeys(("start", "unstop", "старт", "подписаться", "подписка"), Word.START)


def word(text: str) -> Word | None:
    """What a whole message says; None: it is about something else. Spaces, case and marks around it do not count."""
    return _WORDS.get(text.strip(_AROUND).casefold())


_AROUND = " \t\r\n\v\f\N{NO-BREAK SPACE}.,!?:;-\"'«»()/#"
