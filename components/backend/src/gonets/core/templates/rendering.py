"""Texts with variables: `{{ name }}` and `{{ name | default("friend") }}`, and nothing else.

A variable is a plain name; a contact's attributes are variables under their own names (`{{ city }}`). There are no
expressions, no calls and no attributes of objects: a template can read the values it is handed, and only those.
`\\{{` stands for two braces, `\\\\{{` for a backslash before a variable; backslashes elsewhere mean themselves.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gonets.core.shared.errors import Invalid

Value: TypeAlias = "str | int | float | bool | None"
Values = Mapping[str, Value]
"""By the variable's name. None and the empty text are no value."""

LONGEST_NAME = 60

_OPENING = re.compile(r"(\\*)\{\{")
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[^\W\d][\w-]*")
_DEFAULT = re.compile(r"\|\s*default\s*\(\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)')\s*\)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Variable:
    """A place that a value takes. `default`: what stands there where there is no value; None: there has to be one."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that was read once, to be rendered often. `parts`: plain texts and variables, in their order."""

    parts: Sequence[str | Variable]
    variables: Sequence[str] = field(init=False)
    """Their names, each once, in the order in which they come."""
    required: Sequence[str] = field(init=False)
    """Those that stand somewhere without a default."""

    def __post_init__(self) -> None:
        found = [part for part in self.parts if isinstance(part, Variable)]
        object.__setattr__(self, "variables", tuple(dict.fromkeys(one.name for one in found)))
        object.__setattr__(self, "required", tuple(dict.fromkeys(one.name for one in found if one.default is None)))

    def render(self, values: Values) -> str:
        """Values are put in as they are: what looks like a variable in them is text. Raises Invalid, which names the
        first variable that has no value."""
        return "".join([part if isinstance(part, str) else _shown(part, values) for part in self.parts])

    def missing(self, values: Values) -> Sequence[str]:
        """All the variables for which `render` would raise."""
        return [name for name in self.required if values.get(name) in _NO_VALUE]


def compile(text: str, where: str = "body") -> Compiled:  # noqa: A001 - what it is; nobody here compiles Python
    """Raises Invalid for the field `where`, which says line and column, and what would be right."""
    return Compiled(tuple(_joined(_Reader(text, where).parts())))


def of_contact(
    attributes: Values, *, name: str, phone: str | None, email: str | None, timezone: str | None
) -> dict[str, Value]:
    """What a contact offers a template: its attributes, and its fields, which win over attributes of the same name."""
    return {**attributes, "name": name, "phone": phone, "email": email, "timezone": timezone}


_NO_VALUE = (None, "")


def _shown(variable: Variable, values: Values) -> str:
    value = values.get(variable.name)
    if type(value) is str and value:
        return value
    if value is None or value == "":
        if variable.default is None:
            raise missing(variable.name)
        return variable.default
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def missing(name: str) -> Invalid:
    """The error for a variable without a value."""
    shown = "{{ " + name
    return Invalid(
        f"variables.{name}",
        f'is missing: the template has {shown} }}}}; give it a value, or write {shown} | default("…") }}}}',
    )


def _joined(parts: Iterator[str | Variable]) -> Iterator[str | Variable]:
    """Texts that stand side by side become one."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        text = ""
        yield part
    if text:
        yield text


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    where: str

    def parts(self) -> Iterator[str | Variable]:
        at = 0
        while found := _OPENING.search(self.text, at):
            backslashes = len(found[1])
            yield self.text[at : found.start()] + "\\" * (backslashes // 2)
            if backslashes % 2:
                yield "{{"
                at = found.end()
            else:
                variable, at = self._variable(found.end())
                yield variable
        yield self.text[at:]

    def _variable(self, start: int) -> tuple[Variable, int]:
        """What stands after the two braces, and where the text goes on."""
        at = self._space(start)
        name = _NAME.match(self.text, at)
        if name is None:
            raise self._wrong(at, "a name must follow {{, as in {{ name }}; write \\{{ for the braces themselves")
        if len(name[0]) > LONGEST_NAME:
            raise self._wrong(at, f"a name has at most {LONGEST_NAME} characters")
        at = self._space(name.end())
        default = None
        if self.text.startswith("|", at):
            found = _DEFAULT.match(self.text, at)
            if found is None:
                raise self._wrong(at, f'after | only a default may stand: {{{{ {name[0]} | default("friend") }}}}')
            default = _ESCAPED.sub(r"\1", found[1] if found[1] is not None else found[2])
            at = self._space(found.end())
        if not self.text.startswith("}}", at):
            raise self._unclosed(at, name[0])
        return Variable(name[0], default), at + 2

    def _unclosed(self, at: int, name: str) -> Invalid:
        if not self.text.startswith(".", at):
            return self._wrong(at, f"{{{{ {name} is not closed: }}}} must follow")
        hint = "an attribute of a contact is written by its own name, as {{ city }}"
        return self._wrong(at, f"a variable is one name without dots; {hint}")

    def _space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def _wrong(self, at: int, reason: str) -> Invalid:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return Invalid(self.where, f"line {line}, column {column}: {reason}")
