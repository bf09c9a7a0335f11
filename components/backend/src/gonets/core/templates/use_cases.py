"""What the outside can ask of templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Invalid, InvalidFields, NotFound
from gonets.core.templates import rendering
from gonets.core.templates.model import (
    LONGEST_BODY,
    LONGEST_NAME,
    LONGEST_SUBJECT,
    Content,
    Estimate,
    Preview,
    Rendered,
    Template,
    TemplatePage,
    Version,
)
from gonets.core.templates.ports import Contacts, Sms, TemplateStore
from gonets.core.templates.rendering import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different; None: it stays. `no_subject`: the subject is taken away."""

    name: str | None = None
    body: str | None = None
    subject: str | None = None
    no_subject: bool = False


@dataclass(frozen=True, slots=True)
class ManageTemplates:
    """An owner's templates: create, look, change, delete. Another owner's are not there."""

    store: TemplateStore
    audit: Audit

    async def create(self, actor: Actor, name: str, content: Content) -> Template:
        """Raises InvalidFields with every field that is wrong, and Conflict for a name that is taken."""
        template = await self.store.add(actor.user_id, _checked(name, content), content)
        await self.audit.note(actor, "created", template.id, {})
        return template

    async def get(self, owner_id: int, template_id: int) -> Template:
        """Raises NotFound."""
        found = await self.store.get(owner_id, template_id)
        if found is None:
            raise _absent(template_id)
        return found

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> TemplatePage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.store.page(owner_id, cursor=cursor, limit=limit)

    async def change(self, actor: Actor, template_id: int, change: Change) -> Template:
        """Another text makes a new version. Raises NotFound, InvalidFields, Conflict for a name that is taken."""
        while True:
            old = await self.get(actor.user_id, template_id)
            content = Content(
                old.content.body if change.body is None else change.body,
                None if change.no_subject else old.content.subject if change.subject is None else change.subject,
            )
            name = _checked(old.name if change.name is None else change.name, content)
            if (name, content) == (old.name, old.content):
                return old
            if changed := await self.store.change(actor.user_id, old, name, content):
                await self.audit.note(actor, "changed", template_id, {"version": changed.version})
                return changed

    async def delete(self, actor: Actor, template_id: int) -> None:
        """Raises NotFound."""
        if not await self.store.delete(actor.user_id, template_id):
            raise _absent(template_id)
        await self.audit.note(actor, "deleted", template_id, {})

    async def version(self, owner_id: int, template_id: int, number: int) -> Version:
        """Raises NotFound."""
        await self.get(owner_id, template_id)
        found = await self.store.version(owner_id, template_id, number)
        if found is None:
            raise NotFound(f"template {template_id} has no version {number}")
        return found

    async def versions(self, owner_id: int, template_id: int, *, below: int | None, limit: int) -> Sequence[Version]:
        """Latest first. Raises NotFound."""
        await self.get(owner_id, template_id)
        return await self.store.versions(owner_id, template_id, below=below, limit=limit)


@dataclass(frozen=True, slots=True)
class RenderTemplate:
    """What a template says to one person."""

    store: TemplateStore
    contacts: Contacts

    async def __call__(
        self, owner_id: int, template: int | str, variables: Values, contact_id: int | None = None
    ) -> Rendered:
        """`template`: its id or its name. What is in `variables` wins over what the contact offers. Raises Invalid for
        a template or a contact that is not there and for a text that cannot be sent, InvalidFields with every variable
        that has no value."""
        if isinstance(template, str):
            found = await self.store.named(owner_id, template)
        else:
            found = await self.store.get(owner_id, template)
        if found is None:
            called = "name" if isinstance(template, str) else "id"
            raise Invalid("template", f"no template has the {called} {template}")
        return await self.content(owner_id, found.content, variables, contact_id)

    async def content(self, owner_id: int, content: Content, variables: Values, contact_id: int | None) -> Rendered:
        """Raises as `__call__` does."""
        known: Values | None = {}
        if contact_id is not None and (known := await self.contacts.values(owner_id, contact_id)) is None:
            raise Invalid("contactId", f"no contact has the id {contact_id}")
        return render(content, {**(known or {}), **variables})


@dataclass(frozen=True, slots=True)
class PreviewTemplate:
    """Shows what would be sent, how many SMS that is, and what they cost. `prices`: of a segment, by type of channel;
    None: nobody has said."""

    manage: ManageTemplates
    render: RenderTemplate
    sms: Sms
    prices: Mapping[str, float | None]

    async def __call__(
        self, owner_id: int, template_id: int, variables: Values, contact_id: int | None, version: int | None
    ) -> Preview:
        """Raises NotFound, and as RenderTemplate does."""
        if version is None:
            latest = await self.manage.get(owner_id, template_id)
            version, content = latest.version, latest.content
        else:
            content = (await self.manage.version(owner_id, template_id, version)).content
        rendered = await self.render.content(owner_id, content, variables, contact_id)
        shape = self.sms(rendered.text)
        estimates = [Estimate(name, shape.segments, price) for name, price in self.prices.items()]
        return Preview(version, rendered, shape, estimates)


def render(content: Content, values: Values) -> Rendered:
    """Raises InvalidFields with every variable that has no value, and Invalid for what cannot be sent."""
    body = rendering.compile(content.body)
    subject = None if content.subject is None else rendering.compile(content.subject, "subject")
    missing = dict.fromkeys([*body.missing(values), *(subject.missing(values) if subject else ())])
    if missing:
        errors = [rendering.missing(name) for name in missing]
        raise InvalidFields([(error.field, error.reason) for error in errors])
    text = body.render(values)
    if not text.strip():
        raise Invalid("variables", "leave nothing to say: the text is empty with them")
    if len(text) > LONGEST_BODY:
        raise Invalid("variables", f"make the text too long: {len(text)} characters, and {LONGEST_BODY} are allowed")
    # A value with line breaks in it must not end the subject.
    line = " ".join(subject.render(values).split()) if subject else None
    if line is not None and len(line) > LONGEST_SUBJECT:
        raise Invalid("variables", f"make the subject too long: {len(line)} characters, not up to {LONGEST_SUBJECT}")
    return Rendered(text, line)


def _checked(name: str, content: Content) -> str:
    """The name, without the spaces around it. Raises InvalidFields."""
    wrong: list[tuple[str, str]] = []
    found = name.strip()
    if not 1 <= len(found) <= LONGEST_NAME or not found.isprintable():
        wrong.append(("name", f"must be 1 to {LONGEST_NAME} characters on one line"))
    for field, text, longest in (("body", content.body, LONGEST_BODY), ("subject", content.subject, LONGEST_SUBJECT)):
        if text is None:
            continue
        if not text.strip() or len(text) > longest or "\0" in text:
            wrong.append((field, f"must be 1 to {longest} characters, not only spaces, and none of them U+0000"))
            continue
        try:
            rendering.compile(text, field)
        except Invalid as error:
            wrong.append((error.field, error.reason))
    if wrong:
        raise InvalidFields(wrong)
    return found


def _absent(template_id: int) -> NotFound:
    return NotFound(f"no template has the id {template_id}")
