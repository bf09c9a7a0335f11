"""docs/contacts.md, pasted into a shell from top to bottom; and what a provider says lands on its contact."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import httpx

from acceptance.clients import until

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "contacts.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ACCOUNT = {"email": "anna@example.com", "password": "correct horse battery"}


def _answers(text: str) -> list[dict[str, object]]:
    """All JSON documents, one after the other."""
    found, place, decoder = [], 0, json.JSONDecoder()
    while place < len(text):
        one, place = decoder.raw_decode(text, place)
        found.append(one)
        place += len(text[place:]) - len(text[place:].lstrip())
    return found


async def test_every_example_works_and_dadata_is_asked(installation, tmp_path):
    installation.start("sandbox")
    installation.launch("worker")
    installation.launch("scheduler")
    api = installation.start("api", ENVIRONMENT="development")
    async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", timeout=30) as http:
        token = (await http.post("/auth/signup", json=ACCOUNT)).json()["accessToken"]
        http.headers["Authorization"] = f"Bearer {token}"
        script = "\n".join(
            ["set -euo pipefail", f"API={api.url}/api/v1 TOKEN={token}", *BLOCK.findall(GUIDE.read_text())]
        )
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        created, listed, searched, audience, count, tagged, asked, looked, many = _answers(done.stdout)
        assert (created["phone"], created["timezone"], created["operatorCode"]) == (
            "+79161234567",
            "Europe/Moscow",
            "916",
        )
        assert [one["id"] for page in (listed, searched) for one in page["contacts"]] == [created["id"]] * 2
        assert (audience["id"], count, tagged) == (1, {"count": 1}, {"changed": 1})
        assert asked["status"] == "asked"
        assert looked["taskId"] == asked["taskId"]
        assert many["asked"] in (0, 1)
        assert "+79161234567" in (tmp_path / "contacts.csv").read_text(encoding="utf-8-sig")
        assert (tmp_path / "contacts.xlsx").read_bytes().startswith(b"PK")

        async def enriched():
            found = (await http.get(f"/contacts/{created['id']}/enrich")).json()
            return found if found["status"] == "done" else None

        await until(enriched, "the provider's answer")
        contact = (await http.get(f"/contacts/{created['id']}")).json()
        assert contact["qualityCode"] == 0
        assert contact["operator"]
        assert contact["timezone"] == "Europe/Moscow"
