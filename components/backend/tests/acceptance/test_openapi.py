"""The OpenAPI document is the truth about the running API: a fuzzer tries to prove it wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg

from acceptance.stack import BACKEND, Stack

# A cursor is a string to its reader, but not every string is a cursor.
CONFIGURATION = """
[[operations]]
include-path = "/api/v1/tasks"
include-method = "GET"
checks.positive_data_acceptance.enabled = false
"""


async def test_the_fuzzer_finds_no_answer_that_is_not_documented(
    stack: Stack, db: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.api.url}/api/v1/openapi.json"),
        *("--mode", "all", "--continue-on-failure"),
        *("--seed", "20260101", "--max-examples", "100", "--workers", "1", "--request-timeout", "20"),
        *("--suppress-health-check", "all", "--max-response-time", "15"),
    ]

    def fuzz() -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "acceptance.fuzzing", "PYTHONPATH": str(BACKEND / "tests")}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
        )

    before = await db.fetchval("SELECT count(*) FROM task")

    ended = await asyncio.to_thread(fuzz)

    assert ended.returncode == 0, ended.stdout[-12_000:] + ended.stderr[-2_000:]
    assert await db.fetchval("SELECT count(*) FROM task") > before + 5, "it got through to the tasks"
    assert all(process.running() for process in [stack.api, *stack.workers, stack.scheduler, stack.sandbox])
