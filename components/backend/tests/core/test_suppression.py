"""Addresses that must not be written to: what people may enter, and what the list learns by itself."""

import pytest

from fakes.identity import FakeAuditLog
from fakes.suppressions import FakeHeeded, FakeSuppressions
from gonets.adapters.phones import PhoneNumbers
from gonets.bootstrap.identity import AuditOf
from gonets.core.channels.model import ChannelType, Incoming
from gonets.core.contacts.suppression import (
    HeedOptOuts,
    Kind,
    ManageSuppressions,
    Source,
    Typed,
    Word,
    word,
)
from gonets.core.identity.model import Principal, Role
from gonets.core.notifications.incoming import TakeIncoming
from gonets.core.shared.errors import InvalidFields, NotFound, Unavailable

ANNA = Principal(1, Role.MEMBER, session_id=1)
PHONE = "+79161234567"


class World:
    def __init__(self):
        self.store, self.log = FakeSuppressions(), FakeAuditLog()
        audit = AuditOf(self.log, "suppression")
        phone = PhoneNumbers("RU")
        self.manage = ManageSuppressions(self.store, phone, audit)
        self.heed = HeedOptOuts(self.store, audit)
        self.take = TakeIncoming(self, self, self.heed, FakeHeeded(), phone)

    async def owner(self, channel_id, channel_type):
        return {(7, ChannelType.SMS_TWILIO): 1, (8, ChannelType.SMS_TWILIO): 2}.get((channel_id, channel_type))

    async def written_to(self, channel_type, address):
        return [1, 2] if (channel_type, address) == (ChannelType.SMS_SMPP, PHONE) else []

    @property
    def known(self):
        return {place: row.source for place, row in self.store.rows.items()}


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("STOP", Word.STOP),
        (" stop. ", Word.STOP),
        ("«Стоп»!", Word.STOP),
        ("СТОП\r\n", Word.STOP),
        ("Отписаться", Word.STOP),
        ("/stop", Word.STOP),
        ("StopAll", Word.STOP),
        ("unsubscribe", Word.STOP),
        ("CANCEL", Word.STOP),
        ("End", Word.STOP),
        ("quit", Word.STOP),
        ("START", Word.START),
        ("unstop", Word.START),
        ("Старт", Word.START),
        ("yes", None),
        ("stop it", None),
        ("нестоп", None),
        ("Не мой код, остановите", None),
        ("", None),
        ("...", None),
    ],
)
def test_words(text, said):
    assert word(text) is said


async def test_an_address_is_kept_as_contacts_keep_it(world):
    added = await world.manage.add(
        ANNA,
        [
            Typed("8 (916) 123-45-67", reason="asked"),
            Typed(" Anna@Example.com "),
            Typed("@Anna_Channel"),
            Typed("123456789", Kind.TELEGRAM_CHAT_ID),
            Typed(PHONE),
        ],
    )
    assert [(one.kind, one.address, one.reason, new) for one, new in added] == [
        (Kind.PHONE, PHONE, "asked", True),
        (Kind.EMAIL, "anna@example.com", None, True),
        (Kind.TELEGRAM_CHAT_ID, "@anna_channel", None, True),
        (Kind.TELEGRAM_CHAT_ID, "123456789", None, True),
    ]
    assert {entry.action for entry in world.log.entries} == {"created"}
    assert len(world.log.entries) == 4
    assert PHONE not in repr([entry.detail for entry in world.log.entries])


async def test_where_one_is_wrong_none_is_added(world):
    with pytest.raises(InvalidFields) as raised:
        await world.manage.add(ANNA, [Typed(PHONE), Typed("12"), Typed("a@b")])
    assert [field for field, _ in raised.value.wrong] == ["addresses.1", "addresses.2"]
    assert world.store.rows == {}
    with pytest.raises(InvalidFields) as raised:
        await world.manage.add(ANNA, [Typed("12")])
    assert [field for field, _ in raised.value.wrong] == ["address"]


async def test_an_address_is_searched_as_people_type_it(world):
    await world.manage.add(ANNA, [Typed(PHONE), Typed("anna@example.com"), Typed("79161234567", Kind.TELEGRAM_CHAT_ID)])

    async def found(address):
        page = await world.manage.page(1, address, cursor=None, limit=10)
        return [one.kind for one in page.suppressions]

    assert await found("8 916 123 45 67") == [Kind.PHONE]
    assert await found("ANNA@example.com") == [Kind.EMAIL]
    assert await found("79161234567") == [Kind.TELEGRAM_CHAT_ID, Kind.PHONE]
    assert await found("nonsense") == []
    assert len(await found(None)) == 3


async def test_what_is_taken_off_is_gone(world):
    [(one, _)] = await world.manage.add(ANNA, [Typed(PHONE)])
    assert await world.manage.get(1, one.id) == one
    await world.manage.delete(ANNA, one.id)
    for call in (world.manage.get(1, one.id), world.manage.delete(ANNA, one.id)):
        with pytest.raises(NotFound):
            await call
    assert world.log.entries[-1].action == "deleted"


async def _each(lines):
    for line in lines:
        yield line


async def test_an_import_names_the_lines_that_it_passed_over(world):
    await world.manage.add(ANNA, [Typed(PHONE)])
    lines = ["phone", "8 916 123-45-67", "", '"bob@example.com"', ' "nobody"', "+7 916 000-00-01;", "bob@example.com"]
    done = await world.manage.load(ANNA, _each(lines))
    assert (done.read, done.added, done.known, done.refused) == (5, 2, 2, 1)
    assert [(one.line, one.column, one.reason[:22]) for one in done.wrong] == [(5, 3, "must be a phone number")]
    assert set(world.known.values()) == {Source.MANUAL, Source.IMPORT}
    assert (world.log.entries[-1].action, world.log.entries[-1].detail) == (
        "imported",
        {"added": 2, "known": 2, "wrong": 1},
    )


async def test_an_import_of_many(world):
    done = await world.manage.load(ANNA, _each([f"user{n}@example.com" for n in range(2500)] + ["?"] * 150))
    assert (done.read, done.added, done.refused, len(done.wrong)) == (2650, 2500, 150, 100)


async def test_a_stop_and_a_start_count_for_the_owner_of_the_channel(world):
    await world.take(7, ChannelType.SMS_TWILIO, Incoming("8 916 123-45-67", "STOP"))
    assert world.known == {(1, "phone", PHONE): Source.STOP_REPLY}
    assert (world.log.entries[-1].user_id, world.log.entries[-1].detail) == (
        None,
        {"ownerId": 1, "source": "stop-reply"},
    )
    await world.take(8, ChannelType.SMS_TWILIO, Incoming(PHONE, "START"))
    assert len(world.known) == 1
    await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "START"))
    assert world.known == {}
    assert world.log.entries[-1].action == "lifted"


async def test_a_stop_that_is_brought_again_does_not_undo_a_later_start(world):
    stop, start = Incoming(PHONE, "STOP", "SM1"), Incoming(PHONE, "START", "SM2")
    for one in (stop, start, stop):
        await world.take(7, ChannelType.SMS_TWILIO, one)
    assert world.known == {}
    await world.take(8, ChannelType.SMS_TWILIO, stop)
    assert world.known == {(2, "phone", PHONE): Source.STOP_REPLY}, "another channel's is another message"
    await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP", "SM3"))
    await world.take(7, ChannelType.SMS_TWILIO, start)
    assert (1, "phone", PHONE) in world.known, "an old START does not undo a later STOP either"


async def test_what_could_not_be_heeded_counts_when_it_is_brought_again(world, monkeypatch):
    async def away(*_):
        raise Unavailable("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(world.store, "add", away)
        with pytest.raises(Unavailable):
            await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP", "SM1"))
    await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP", "SM1"))
    assert len(world.known) == 1


async def test_a_start_does_not_undo_what_the_owner_entered(world):
    await world.manage.add(ANNA, [Typed(PHONE)])
    await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP"))
    await world.take(7, ChannelType.SMS_TWILIO, Incoming(PHONE, "START"))
    assert world.known == {(1, "phone", PHONE): Source.MANUAL}


async def test_an_answer_to_the_operators_number_counts_for_all_who_wrote_from_it(world):
    await world.take(0, ChannelType.SMS_SMPP, Incoming(PHONE, "стоп"))
    assert world.known == {(owner, "phone", PHONE): Source.STOP_REPLY for owner in (1, 2)}


@pytest.mark.parametrize(
    ("channel_id", "channel_type", "incoming"),
    [
        (7, ChannelType.SMS_TWILIO, Incoming(PHONE, "Спасибо")),
        (7, ChannelType.SMS_SMPP, Incoming(PHONE, "STOP")),
        (9, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP")),
        (0, ChannelType.SMS_TWILIO, Incoming(PHONE, "STOP")),
        (7, ChannelType.SMS_TWILIO, Incoming("900", "STOP")),
        (7, ChannelType.SMS_TWILIO, Incoming("whatsapp:+79161234567", "STOP")),
    ],
)
async def test_answers_that_change_nothing(world, channel_id, channel_type, incoming):
    await world.take(channel_id, channel_type, incoming)
    assert world.known == {}


async def test_what_a_provider_says_is_entered_once(world):
    for _ in range(2):
        await world.heed.opted_out(1, "email", "Anna@Example.com", "x" * 1000)
    assert world.known == {(1, "email", "anna@example.com"): Source.PROVIDER}
    assert len(world.log.entries) == 1
    assert await world.heed.among(1, {"email": ["ANNA@example.com"]}) == {"email": {"ANNA@example.com"}}
