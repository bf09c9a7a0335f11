"""gonets secrets, as an operator calls it, on a real database."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gonets import settings
from gonets.adapters.crypto.vault import AesVault
from gonets.adapters.postgres.channels import PostgresChannels
from gonets.core.channels.model import ChannelType, NewChannel
from gonets.core.channels.ports import Unreadable

SOURCE = Path(__file__).resolve().parents[2] / "src"
NEW = NewChannel(name="bot", type=ChannelType.TELEGRAM, configuration={"botToken": "1:secret-of-the-bot"})


@pytest.fixture
def shell(servers):
    async def run(*arguments, **variables):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gonets.entrypoints.cli", *arguments),
            env=os.environ | servers.environment | {"PYTHONPATH": str(SOURCE)} | variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, out.decode(), err.decode()

    return run


def _store(pool, keys):
    by_name = settings.Secrets(keys=keys).by_name
    return PostgresChannels(pool, AesVault(by_name), {ChannelType.TELEGRAM: {"botToken"}})


async def _new_key(shell):
    status, out, err = await shell("secrets", "new")
    assert status == 0, err
    return out.strip()


async def test_secrets_are_moved_to_the_newest_key_and_the_old_one_can_go(pool, shell):
    await pool.fetch("INSERT INTO users (email, email_key, password_hash, role) VALUES ('a', 'a', '', 'member')")
    old, new = await _new_key(shell), f"newest:{(await _new_key(shell)).partition(':')[2]}"
    before = [await _store(pool, old).add(1, replace(NEW, is_default=number == 0)) for number in range(3)]
    plain = await _store(pool, old).add(1, replace(NEW, configuration={"chatId": "5"}))
    status, out, err = await shell("secrets", "rotate", SECRETS_KEYS=f"{new},{old}")
    assert (status, out) == (0, "3 channels are encrypted with newest now\n"), err
    assert list(await _store(pool, new).all(1)) == [*before, plain], "and nothing else is changed"
    with pytest.raises(Unreadable, match="'newest'"):
        await _store(pool, old).all(1)
    status, out, _ = await shell("secrets", "rotate", SECRETS_KEYS=f"{new},{old}")
    assert (status, out) == (0, "0 channels are encrypted with newest now\n")


async def test_what_no_key_opens_is_named_and_does_not_stop_the_others(pool, shell):
    await pool.fetch("INSERT INTO users (email, email_key, password_hash, role) VALUES ('a', 'a', '', 'member')")
    lost, old, new = [f"k{number}:{(await _new_key(shell)).partition(':')[2]}" for number in range(3)]
    gone = await _store(pool, lost).add(1, NEW)
    kept = await _store(pool, old).add(1, NEW)
    status, out, err = await shell("secrets", "rotate", SECRETS_KEYS=f"{new},{old}")
    assert status == 1
    assert out.startswith("1 channels")
    assert err.endswith(f"SECRETS_KEYS: channels {gone.id}\n")
    assert await _store(pool, new).get(1, kept.id) == kept


async def test_without_a_database_it_says_so(shell, unused_tcp_port):
    status, _, err = await shell("secrets", "rotate", DATABASE_HOST="127.0.0.1", DATABASE_PORT=str(unused_tcp_port))
    assert status == 3
    assert "DATABASE_HOST=127.0.0.1" in err


async def test_the_doctor_says_which_key_is_missing(pool, shell):
    await pool.fetch("INSERT INTO users (email, email_key, password_hash, role) VALUES ('a', 'a', '', 'member')")
    key = await _new_key(shell)
    await _store(pool, key).add(1, NEW)
    name = key.partition(":")[0]
    _, out, _ = await shell("doctor", SECRETS_KEYS=key)
    assert f"secrets    1 channels under {name}" in out
    status, out, _ = await shell("doctor")
    assert status == 1
    assert f"SECRETS_KEYS: {name} is not there" in out
