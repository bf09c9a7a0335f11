"""Templates: checked when they are written, rendered for one person, previewed with what they cost."""

import asyncio

import pytest

from fakes.identity import FakeAuditLog
from fakes.templates import FakeTemplates
from gonets.bootstrap.identity import AuditOf
from gonets.bootstrap.templates import prices, sms
from gonets.core.identity.model import Principal, Role
from gonets.core.shared.errors import Invalid, InvalidFields, NotFound
from gonets.core.templates.model import Content, Rendered, SmsShape
from gonets.core.templates.rendering import of_contact
from gonets.core.templates.use_cases import Change, ManageTemplates, PreviewTemplate, RenderTemplate, render
from gonets.settings import Sms

ANNA = Principal(1, Role.MEMBER, session_id=1)
HELLO = Content('Здравствуйте, {{ name | default("друг") }}! Код {{ code }}', "Для {{ name }}")


class World:
    def __init__(self):
        self.store, self.log = FakeTemplates(), FakeAuditLog()
        self.manage = ManageTemplates(self.store, AuditOf(self.log, "template"))
        self.render = RenderTemplate(self.store, self)
        self.preview = PreviewTemplate(self.manage, self.render, sms, prices(Sms(prices="SMS_TWILIO=6.5,SMS_SMPP=0")))

    async def values(self, owner_id, contact_id):
        attributes = {"code": 4711, "name": "not this one"}
        anna = of_contact(attributes, name="Анна", phone="+79161234567", email=None, timezone=None)
        return anna if (owner_id, contact_id) == (1, 5) else None


@pytest.fixture
def world():
    return World()


async def test_a_template_is_checked_when_it_is_written(world):
    with pytest.raises(InvalidFields) as raised:
        await world.manage.create(ANNA, " ", Content("Hi {{ name", "{{ 1 }}"))
    assert [field for field, _ in raised.value.wrong] == ["name", "body", "subject"]
    assert raised.value.wrong[1][1].startswith("line 1, column 11: {{ name is not closed")
    with pytest.raises(InvalidFields):
        await world.manage.create(ANNA, "empty", Content(" "))
    with pytest.raises(InvalidFields):
        await world.manage.create(ANNA, "long", Content("x" * 20_001))
    assert world.store.rows == {}


async def test_another_text_is_another_version_and_nothing_is_none(world):
    made = await world.manage.create(ANNA, " welcome ", HELLO)
    assert made.name == "welcome"
    assert await world.manage.change(ANNA, made.id, Change(body=HELLO.body)) == made
    renamed = await world.manage.change(ANNA, made.id, Change(name="hello"))
    assert (renamed.name, renamed.version, renamed.content) == ("hello", 1, HELLO)
    changed = await world.manage.change(ANNA, made.id, Change(no_subject=True))
    assert (changed.version, changed.content) == (2, Content(HELLO.body))
    assert (await world.manage.version(1, made.id, 1)).content == HELLO
    assert [one.number for one in await world.manage.versions(1, made.id, below=None, limit=10)] == [2, 1]
    assert [entry.action for entry in world.log.entries] == ["created", "changed", "changed"]
    for call in (
        world.manage.version(1, made.id, 3),
        world.manage.version(2, made.id, 1),
        world.manage.versions(2, made.id, below=None, limit=1),
        world.manage.change(Principal(2, Role.ADMIN, session_id=2), made.id, Change(name="x")),
    ):
        with pytest.raises(NotFound):
            await call


async def test_two_changes_at_one_moment_are_two_versions(world):
    made = await world.manage.create(ANNA, "welcome", HELLO)
    await asyncio.gather(
        world.manage.change(ANNA, made.id, Change(body="other")),
        world.manage.change(ANNA, made.id, Change(subject="s")),
    )
    found = await world.manage.get(1, made.id)
    assert (found.version, found.content) == (3, Content("other", "s"))


@pytest.mark.parametrize("by_name", [True, False])
async def test_what_is_given_wins_over_the_contact(world, by_name):
    made = await world.manage.create(ANNA, "welcome", HELLO)
    which = "welcome" if by_name else made.id
    assert await world.render(1, which, {}, 5) == Rendered("Здравствуйте, Анна! Код 4711", "Для Анна")
    rendered = await world.render(1, which, {"name": "Яна", "unused": True}, 5)
    assert rendered == Rendered("Здравствуйте, Яна! Код 4711", "Для Яна")


async def test_every_missing_variable_is_named(world):
    made = await world.manage.create(ANNA, "welcome", HELLO)
    with pytest.raises(InvalidFields) as raised:
        await world.render(1, made.id, {})
    assert [field for field, _ in raised.value.wrong] == ["variables.code", "variables.name"]
    for owner, which, contact, words in (
        (1, "other", None, "no template has the name other"),
        (2, made.id, None, f"no template has the id {made.id}"),
        (1, made.id, 6, "no contact has the id 6"),
    ):
        with pytest.raises(Invalid, match=words):
            await world.render(owner, which, {}, contact)


def test_a_text_that_cannot_be_sent():
    with pytest.raises(Invalid, match="the text is empty"):
        render(Content("{{ a | default('') }}"), {})
    with pytest.raises(Invalid, match="20001 characters"):
        render(Content("{{ a }}{{ a }}x"), {"a": "y" * 10_000})
    with pytest.raises(Invalid, match="the subject too long"):
        render(Content("x", "{{ a }}"), {"a": "y" * 501})


def test_a_value_cannot_break_the_subject():
    values = {"a": "one\r\nBcc: two"}
    assert render(Content("{{ a }}", "Re: {{ a }}"), values) == Rendered("one\r\nBcc: two", "Re: one Bcc: two")


async def test_a_preview_says_what_it_costs_and_what_nobody_knows(world):
    made = await world.manage.create(ANNA, "welcome", Content("{{ name }}" * 20))
    shown = await world.preview(1, made.id, {}, 5, None)
    assert (shown.version, shown.rendered.text, shown.sms) == (1, "Анна" * 20, SmsShape("ucs2", 2))
    costs = {one.channel_type: (one.price, one.total) for one in shown.estimates}
    assert costs == {
        "SMS_TWILIO": (6.5, 13.0),
        "SMS_SMSAERO": (None, None),
        "SMS_EMAIL_GATEWAY": (None, None),
        "SMS_SMPP": (0.0, 0.0),
    }
    await world.manage.change(ANNA, made.id, Change(body="Hi"))
    assert (await world.preview(1, made.id, {}, None, None)).sms == SmsShape("gsm7", 1)
    assert (await world.preview(1, made.id, {"name": "A"}, None, 1)).rendered.text == "A" * 20
    with pytest.raises(NotFound):
        await world.preview(1, made.id, {}, None, 3)
