"""Argon2 hashes and signed tokens."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime

import jwt
import pytest
from argon2 import PasswordHasher

from gonets.adapters.credentials.access_tokens import JwtAccessTokens
from gonets.adapters.credentials.passwords import Argon2Passwords
from gonets.core.identity.model import Access

KEY = "k" * 32
ACCESS = Access(7, 9, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def passwords():
    """Cheap ones."""
    return Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_hash_is_argon2id_with_a_salt_of_its_own_and_matches_only_its_password(passwords):
    first, second = await passwords.hash("пароль"), await passwords.hash("пароль")
    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.matches(first, "пароль")
    assert not await passwords.matches(first, "пароль ")
    assert not await passwords.matches("no hash", "пароль")


async def test_nothing_matches_nobody_and_it_is_compared_all_the_same(passwords, monkeypatch):
    compared = []
    monkeypatch.setattr(passwords, "_verify", lambda hashed, password: compared.append(hashed) or True)
    assert not await passwords.matches(None, "\0")
    assert compared[0].startswith("$argon2id$")


async def test_the_shipped_hashes_are_slow_and_do_not_hold_up_the_loop():
    shipped = Argon2Passwords()
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    hashed = await shipped.hash("password")
    turning.cancel()
    assert turns > 10
    assert "m=65536,t=3,p=4" in hashed
    assert not shipped.outdated(hashed)


async def test_a_cheaper_hash_is_outdated(passwords):
    assert Argon2Passwords().outdated(await passwords.hash("password"))


def test_a_token_says_who_signed_in_and_until_when():
    tokens = JwtAccessTokens(KEY)
    token = tokens.issue(ACCESS)
    assert tokens.read(token) == ACCESS, "that its time is over is for others to say"
    assert tokens.issue(ACCESS) != token, "no two are alike"


def test_other_keys_other_algorithms_and_other_claims_are_none_of_ours():
    claims = {"iss": "gonets", "sub": "7", "sid": 9, "exp": int(time.time()) + 60}
    ours = JwtAccessTokens(KEY)
    header, payload, signature = ours.issue(ACCESS).split(".")
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "1"}).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert ours.read(jwt.encode(claims, KEY, algorithm="HS256")), "what is changed below is what makes it wrong"
    for wrong in (
        jwt.encode(claims, "x" * 32, algorithm="HS256"),
        jwt.encode(claims, KEY * 2, algorithm="HS512"),
        jwt.encode(claims | {"iss": "others"}, KEY, algorithm="HS256"),
        jwt.encode(claims | {"sub": "anna"}, KEY, algorithm="HS256"),
        jwt.encode({"iss": "gonets", "sub": "7", "exp": 1}, KEY, algorithm="HS256"),
        jwt.encode(claims | {"exp": 10**30}, KEY, algorithm="HS256"),
        f"{header}.{changed}.{signature}",
        f"{unsigned}.{changed}.",
        f"{header}.{payload}",
        "",
        "ключ",
    ):
        assert ours.read(wrong) is None, wrong
