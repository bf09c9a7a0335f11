"""What is shown in place of secrets, and how a change is read that may hold what was shown."""

from collections.abc import Collection, Iterator, Mapping

from gonets.core.shared.json import JSON

MASK = "••••"
_TELLING = 4  # last characters that are shown, so that a person knows which secret it is
_LONG = 12  # from this length on; of a shorter secret they would give away too much

_NOT_KEPT = "is a mask of no secret that is kept here: send the secret itself, or leave it out"

Configuration = Mapping[str, JSON]


def masked(secret: str) -> str:
    return MASK + (secret[-_TELLING:] if len(secret) >= _LONG else "")


def shown(configuration: Configuration, secrets: Collection[str]) -> dict[str, JSON]:
    """The configuration, its secrets masked; of an object (headers) each value is."""
    return {key: _shown(value) if key in secrets else value for key, value in configuration.items()}


def _shown(value: JSON) -> JSON:
    match value:
        case dict():
            return {name: _shown(inner) for name, inner in value.items()}
        case None | "":
            return value
    return masked(str(value))


def merged(
    old: Configuration, changes: Configuration, secrets: Collection[str]
) -> tuple[dict[str, JSON], list[tuple[str, str]]]:
    """`changes` laid over `old`, key by key: null takes a key away, a mask keeps the secret it stands for, anything
    else replaces the whole value. And the fields where a mask stands for nothing: it stays there."""
    wrong: list[tuple[str, str]] = []
    new = dict(old)
    for key, value in changes.items():
        if value is None:
            new.pop(key, None)
        elif key in secrets:
            new[key] = _restored(f"configuration.{key}", value, old.get(key), wrong)
        else:
            new[key] = value
    return new, wrong


def _restored(field: str, value: JSON, old: JSON, wrong: list[tuple[str, str]]) -> JSON:
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        return {name: _restored(f"{field}.{name}", inner, before.get(name), wrong) for name, inner in value.items()}
    if not isinstance(value, str) or not value.startswith(MASK):
        return value
    if isinstance(old, str) and old and value == masked(old):
        return old
    wrong.append((field, _NOT_KEPT))
    return value


def kept(old: Configuration, changes: Configuration, secrets: Collection[str]) -> Iterator[str]:
    """The fields of the secrets that nobody gives anew: they are left out, or sent back as they were shown."""
    for key in sorted(secrets):
        if key in changes:
            yield from _masked(f"configuration.{key}", changes[key])
        elif any(texts(old, {key})):
            yield f"configuration.{key}"


def _masked(field: str, value: JSON) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _masked(f"{field}.{name}", inner)
    elif isinstance(value, str) and value.startswith(MASK):
        yield field


def without(text: str, configuration: Configuration, secrets: Collection[str]) -> str:
    """The text, any secret in it masked."""
    found = [secret for secret in texts(configuration, secrets) if len(secret) >= len(MASK)]
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def texts(configuration: Configuration, secrets: Collection[str]) -> set[str]:
    """Every secret of the configuration, by itself."""
    return {secret for key in secrets for secret in _strings(configuration.get(key))}


def _strings(value: JSON) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _strings(inner)
