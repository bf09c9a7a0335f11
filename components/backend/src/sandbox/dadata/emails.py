"""E-mail addresses as Dadata cleans them: https://dadata.ru/api/clean/email/ (types and `qc`), the rest by rule."""

import re
from typing import Any

PERSONAL = frozenset(
    [
        "yandex.ru",
        "ya.ru",
        "mail.ru",
        "gmail.com",
        "inbox.ru",
        "list.ru",
        "bk.ru",
        "rambler.ru",
        "outlook.com",
        "hotmail.com",
        "yahoo.com",
    ]
)
DISPOSABLE = frozenset(["mailinator.com", "yopmail.com", "temp-mail.org", "guerrillamail.com", "10minutemail.com"])
ROLES = frozenset(
    [
        "info",
        "sales",
        "support",
        "admin",
        "office",
        "hr",
        "help",
        "contact",
        "billing",
        "noreply",
        "postmaster",
        "webmaster",
    ]
)
TYPOS = {
    "yandex.ry": "yandex.ru",
    "yandeks.ru": "yandex.ru",
    "gmial.com": "gmail.com",
    "gmail.con": "gmail.com",
    "gamil.com": "gmail.com",
    "mail.ry": "mail.ru",
    "maill.ru": "mail.ru",
}
ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@(?:[\w-]+\.)+[^\W\d_][\w-]+")


def clean_email(source: str) -> dict[str, Any]:
    """The object of Dadata's answer for `source`; the same for the same input, always."""
    text = source.strip()
    fixed = text if _correct(text) else _correct_typos(text)
    if not _correct(fixed):
        garbage = "@" not in text and "." not in text
        return {"source": source, "email": None, "local": None, "domain": None, "type": None, "qc": 2 if garbage else 1}
    local, _, domain = fixed.rpartition("@")
    kind = _kind(local.lower(), domain.lower())
    qc = 3 if kind == "DISPOSABLE" else 0 if fixed == text else 4
    return {"source": source, "email": fixed, "local": local, "domain": domain, "type": kind, "qc": qc}


def _correct(text: str) -> bool:
    _, _, domain = text.rpartition("@")
    return ADDRESS.fullmatch(text) is not None and ".." not in text and domain.lower() not in TYPOS


def _correct_typos(text: str) -> str:
    text = re.sub(r"@+", "@", re.sub(r"\s+", "", text))
    local, _, domain = text.rpartition("@")
    domain = re.sub(r"[/,.]+", ".", domain).strip(".")
    return f"{local}@{TYPOS.get(domain.lower(), domain)}"


def _kind(local: str, domain: str) -> str:
    if domain in DISPOSABLE:
        return "DISPOSABLE"
    if local in ROLES:
        return "ROLE"
    return "PERSONAL" if domain in PERSONAL else "CORPORATE"
