"""gonets user, as an operator calls it, on a real database."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gonets.adapters.credentials.passwords import Argon2Passwords
from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.identity import PostgresResets, PostgresUsers
from gonets.core.identity.model import Role, digest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PASSWORD = "correct horse"


@pytest.fixture
def call(servers, pool):
    """Exit status, standard output and standard error."""
    environment = os.environ | servers.environment | {"PYTHONPATH": str(SOURCE)}

    async def run(*arguments, typed="", **variables):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gonets.entrypoints.cli", "user", *arguments),
            env=environment | variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(typed.encode()), 60)
        return process.returncode, out.decode(), err.decode()

    return run


async def test_an_admin_is_made_also_where_sign_up_is_closed_and_only_once(call, pool):
    status, out, err = await call(
        "create", "--admin", typed=f"boss@example.com\n{PASSWORD}\n", IDENTITY_SIGN_UP_OPEN="false"
    )
    assert (status, out, err) == (0, "admin boss@example.com has the id 1\n", "")
    account = await PostgresUsers(pool).account("boss@example.com")
    assert account.user.role is Role.ADMIN
    assert await Argon2Passwords().matches(account.password_hash, PASSWORD)
    again = await call("create", "Boss@example.com", typed=f"{PASSWORD}\n")
    assert again[0] == 1
    assert "already" in again[2]
    [entry] = (await PostgresAudit(pool).page(object=None, user_id=None, cursor=None, limit=10)).entries
    assert (entry.user_id, entry.action, entry.object_id, entry.detail) == (None, "created", 1, {"role": "admin"})


async def test_without_admin_it_is_a_member_even_the_first(call, pool):
    assert (await call("create", "anna@example.com", typed=f"{PASSWORD}\n"))[0] == 0
    assert (await PostgresUsers(pool).get(1)).role is Role.MEMBER
    assert (await call("promote", "anna@example.com"))[1].startswith("admin ")
    assert (await PostgresUsers(pool).get(1)).role is Role.ADMIN


async def test_a_password_that_is_too_short_is_2_and_not_shown(call):
    status, out, err = await call("create", "anna@example.com", typed="sh0rt\n")
    assert (status, out) == (2, "")
    assert "8 to 256 characters" in err
    assert "sh0rt" not in err


async def test_a_user_is_locked_out_and_let_in_and_gets_a_reset(call, pool):
    users = PostgresUsers(pool)
    await users.add("admin@example.com", "hash", None)
    anna = await users.add("anna@example.com", "hash", None)
    status, out, _ = await call("reset", "ANNA@example.com")
    assert status == 0
    user = await PostgresResets(pool).use(digest(out.splitlines()[0]), "new", anna.created_at)
    assert user == anna
    assert (await call("disable", "anna@example.com"))[1].endswith(", disabled\n")
    assert (await users.get(anna.id)).disabled_at
    assert (await call("reset", "anna@example.com"))[0] == 1
    assert (await call("enable", "anna@example.com"))[0] == 0
    assert not (await users.get(anna.id)).disabled_at
    assert (await call("disable", "admin@example.com"))[0] == 1
    assert (await call("reset", "nobody@example.com"))[0] == 1


async def test_while_the_database_is_away_it_is_3(call, unused_tcp_port):
    status, _, err = await call("reset", "anna@example.com", DATABASE_PORT=str(unused_tcp_port))
    assert status == 3
    assert "database is away" in err
