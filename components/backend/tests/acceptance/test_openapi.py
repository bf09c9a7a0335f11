"""The OpenAPI document is the truth about the running API: a fuzzer tries to prove it wrong."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import asyncpg
import httpx

from acceptance.stack import BACKEND, Stack

# A cursor is a string to its reader, but not every string is a cursor; and `all` goes without conditions only.
CONFIGURATION = """
[[operations]]
include-path = "/api/v1/tasks"
include-method = "GET"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "^/api/v1/failed/"
checks.positive_data_acceptance.enabled = false
# These words might be the ids of messages, so GET is answered too: there is none.
checks.allow_header_conformance.enabled = false

# Passwords and tokens are strings to their reader, but few are right.
[[operations]]
include-path-regex = "^/api/v1/auth/(password|refresh|logout)"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "^/api/v1/(contacts|audiences|notifications)"
include-method = "GET"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "^/api/v1/(?!tasks|failed)"
generation.max-examples = 10

# One address or many, and few words are an address.
[[operations]]
include-path-regex = "^/api/v1/suppressions"
checks.positive_data_acceptance.enabled = false

# Any bytes are lines: those that are no address are named in the answer.
[[operations]]
include-path = "/api/v1/suppressions/import"
checks.positive_data_acceptance.enabled = false
checks.negative_data_rejection.enabled = false

# Few bytes are a table with phones, and each is looked at by a process of its own.
[[operations]]
include-path-regex = "^/api/v1/contacts/imports"
checks.positive_data_acceptance.enabled = false
generation.max-examples = 5

[auth.openapi.apiKey]
api_key = "KEY"
"""


async def _key(api: httpx.AsyncClient) -> str:
    """A key of a new account, for contacts."""
    account = {"email": f"fuzz{uuid.uuid4().hex}@example.com", "password": "correct horse battery"}
    token = (await api.post("/api/v1/auth/signup", json=account)).json()["accessToken"]
    wanted = {"name": "the fuzzer's", "scopes": ["contacts"]}
    made = await api.post("/api/v1/api-keys", json=wanted, headers={"Authorization": f"Bearer {token}"})
    return str(made.json()["key"])


async def test_the_fuzzer_finds_no_answer_that_is_not_documented(
    stack: Stack, api: httpx.AsyncClient, db: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION.replace("KEY", await _key(api)))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.api.url}/api/v1/openapi.json"),
        *("--mode", "all", "--continue-on-failure"),
        *("--seed", "20260101", "--max-examples", "100", "--workers", "1", "--request-timeout", "40"),
        *("--suppress-health-check", "all", "--max-response-time", "30"),
    ]

    def fuzz() -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "acceptance.fuzzing", "PYTHONPATH": str(BACKEND / "tests")}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )

    before = await db.fetchval("SELECT count(*) FROM task")

    ended = await asyncio.to_thread(fuzz)
    await db.execute("DELETE FROM login_throttle")  # of its many wrong passwords, for the tests that log in after it

    assert ended.returncode == 0, ended.stdout[-12_000:] + ended.stderr[-2_000:]
    assert await db.fetchval("SELECT count(*) FROM task") > before, "it got through to the tasks"
    assert all(process.running() for process in [stack.api, *stack.workers, stack.scheduler, stack.sandbox])
