"""Texts with variables: what they may say, and how they say what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonets.core.shared.errors import Invalid
from gonets.core.templates.rendering import compile as compiled


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("", {}, ""),
        ("Hello", {}, "Hello"),
        ("Hello, {{ name }}!", {"name": "Anna"}, "Hello, Anna!"),
        ("{{name}}{{ city}}", {"name": "Анна", "city": "Тверь"}, "АннаТверь"),
        ("{{ город }}", {"город": "Тверь"}, "Тверь"),
        ("{{ loyalty-level_2 }}", {"loyalty-level_2": "gold"}, "gold"),
        ('{{ name | default("друг") }}', {}, "друг"),
        ('{{ name | default("друг") }}', {"name": ""}, "друг"),
        ('{{ name | default("друг") }}', {"name": None}, "друг"),
        ('{{ name | default("друг") }}', {"name": "Anna"}, "Anna"),
        ("{{ name|default('') }}.", {}, "."),
        (r'{{ name | default("say \"hi\" \\") }}', {}, r'say "hi" \ '[:-1]),
        ('{{ name | default("}} {{ x }}") }}', {}, "}} {{ x }}"),
        (
            "{{ sum }} {{ n }} {{ half }} {{ yes }}",
            {"sum": 100.0, "n": 0, "half": 0.5, "yes": False},
            "100 0 0.5 false",
        ),
        (r"\{{ name }} and {{ name }}", {"name": "Anna"}, "{{ name }} and Anna"),
        (r"\\{{ name }}", {"name": "Anna"}, "\\Anna"),
        (r"\\\{{", {}, "\\{{"),
        (r"C:\new { one } }} \ ", {}, r"C:\new { one } }} \ "),
        ("{{ name }}", {"name": "{{ city }}"}, "{{ city }}"),
        ("{{\n name\n}}", {"name": "Anna"}, "Anna"),
    ],
)
def test_rendering(text, values, shown):
    assert compiled(text).render(values) == shown


def test_what_it_needs():
    found = compiled('{{ b }} {{ a }} {{ b }} {{ c | default("x") }} {{ a | default("y") }}')
    assert found.variables == ("b", "a", "c")
    assert found.required == ("b", "a")
    assert found.missing({"b": 1, "a": ""}) == ["a"]


def test_a_missing_variable_is_named():
    with pytest.raises(Invalid) as raised:
        compiled("Hello, {{ name }}: {{ code }}").render({"name": "Anna"})
    assert raised.value.field == "variables.code"
    assert raised.value.reason == (
        'is missing: the template has {{ code }}; give it a value, or write {{ code | default("…") }}'
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("Hello, {{ name", "line 1, column 15: {{ name is not closed"),
        ("Hello,\n  {{ }}", "line 2, column 6: a name must follow {{"),
        ("{{ 1 + 1 }}", "line 1, column 4: a name must follow"),
        ("{{ name | upper }}", "line 1, column 9: after | only a default may stand"),
        ("{{ name | default(друг) }}", "line 1, column 9: after | only a default"),
        ('a\nb\n{{ name | default("x) }}', "line 3, column 9: after | only a default"),
        ("{{ name.__class__ }}", "line 1, column 8: a variable is one name without dots"),
        ("{{ attributes.city }}", "line 1, column 14: a variable is one name without dots; an attribute of a contact"),
        ("{{ name() }}", "line 1, column 8: {{ name is not closed"),
        ("{{ name['x'] }}", "line 1, column 8: {{ name is not closed"),
        ("{% for x in y %}{{ % }}", "line 1, column 20: a name must follow"),
        ("{{ " + "n" * 61 + " }}", "line 1, column 4: a name has at most 60"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, start):
    with pytest.raises(Invalid) as raised:
        compiled(text, "subject")
    assert raised.value.field == "subject"
    assert raised.value.reason.startswith(start)


def test_no_object_is_looked_into():
    class Sly(str):
        def __format__(self, spec):
            raise AssertionError

    assert compiled("{{ name }} {0.__class__} %s").render({"name": Sly("x")}) == "x {0.__class__} %s"


@given(st.text())
def test_any_text_can_be_escaped(text):
    assert compiled(escaped(text)).render({}) == text


def escaped(text):
    """Every opening is escaped, and the backslashes before it are doubled."""
    shown, slashes, at = "", 0, 0
    while at < len(text):
        if text.startswith("{{", at):
            shown += "\\" * slashes + "\\{{"
            slashes, at = 0, at + 2
            continue
        slashes = slashes + 1 if text[at] == "\\" else 0
        shown += text[at]
        at += 1
    return shown


@given(st.text(alphabet="{}|\\\"' namedefault().\n"))
def test_any_text_compiles_or_says_where_it_is_wrong(text):
    try:
        found = compiled(text)
    except Invalid as error:
        said = error.reason
    else:
        said = "line: " + found.render(dict.fromkeys(found.variables, "x"))
    assert said.startswith("line")
