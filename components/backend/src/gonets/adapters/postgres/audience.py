"""An audience as a condition on rows of `contact`: the one place that says who is in it."""

from collections.abc import Sequence

from gonets.core.contacts.audience import Audience

_CONDITIONS = {
    "tags_any": "contact.tags && ${}::text[]",
    "tags_all": "contact.tags @> ${}::text[]",
    "tags_none": "NOT contact.tags && ${}::text[]",
    "operator_codes": "contact.operator_code = ANY (${}::text[])",
    "timezones": "contact.timezone = ANY (${}::text[])",
}


def condition(audience: Audience, first: int) -> tuple[str, Sequence[object]]:
    """An SQL condition on a table or alias named `contact`, and its values: the first one is parameter number `first`.
    It does not say whose contacts: that is the caller's to add."""
    parts, values = ["true"], list[object]()
    for name, sql in _CONDITIONS.items():
        if value := getattr(audience, name):
            parts.append(sql.format(first + len(values)))
            values.append(list(value))
    return " AND ".join(parts), values
