"""The journal, the switches, reset, the page; and the process itself."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from sandbox.app import Sandbox
from sandbox.registry import NAMES
from sandbox.settings import SettingError, Settings, read_settings

SOURCES = Path(__file__).parents[2] / "src"
PHONE = "/dadata/api/v1/clean/phone"
HEADERS = {"Authorization": "Token 0123456789abcdef", "X-Secret": "89abcdef01234567"}


async def ask(sandbox, *numbers: str) -> None:
    for number in numbers:
        await sandbox.http.post(PHONE, headers=HEADERS, json=[number])


async def test_an_entry(sandbox):
    await ask(sandbox, "+7 985 Привет")
    (entry,) = await sandbox.journal()
    headers = entry.pop("headers")
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "seq": 1,
        "provider": "dadata",
        "operation": "phone",
        "input": "+7 985 Привет",
        "status": 200,
        "outcome": "answered",
        "fault": None,
    }
    assert headers["Authorization"] == "Token ***cdef"
    assert headers["X-Secret"] == "***4567"


async def test_short_secrets_show_nothing(sandbox):
    await sandbox.http.post(PHONE, headers={"Authorization": "Token abc", "X-Secret": "abcd"}, json=["1"])
    headers = (await sandbox.journal())[0]["headers"]
    assert (headers["Authorization"], headers["X-Secret"]) == ("Token ***", "***")


async def test_counts(sandbox):
    await ask(sandbox, "1", "2", "2")
    await sandbox.http.post("/sms-gateway/token", json={"login": "me", "password": "p"})
    assert await sandbox.count(provider="dadata") == {
        "total": 3,
        "by_provider": {"dadata": 3},
        "by_operation": {"phone": 3},
        "by_outcome": {"answered": 3},
        "by_input": {"1": 1, "2": 2},
        "repeated": {"2": 2},
        "dropped": 0,
    }
    assert (await sandbox.count())["by_provider"] == {"dadata": 3, "sms_gateway": 1}
    assert (await sandbox.count(input="2"))["total"] == 2
    assert (await sandbox.count(operation="token"))["total"] == 1
    assert (await sandbox.count(outcome="refused"))["total"] == 0


async def test_since_and_limit(sandbox):
    await ask(sandbox, *"12345")
    assert [entry["input"] for entry in await sandbox.journal(since=2)] == ["3", "4", "5"]
    assert [entry["input"] for entry in await sandbox.journal(limit=2)] == ["4", "5"]
    assert (await sandbox.count(since=4))["by_input"] == {"5": 1}


async def test_long_inputs_are_told_apart(sandbox):
    one, other = "1" * 2000 + "a", "1" * 2000 + "b"
    await ask(sandbox, one, other, one)
    assert (await sandbox.count(input=one))["total"] == 2
    assert sorted((await sandbox.count())["by_input"].values()) == [1, 2]
    assert len((await sandbox.journal())[0]["input"]) < 1100


async def test_the_oldest_are_dropped_and_counted(sandbox):
    await ask(sandbox, *map(str, range(503)))  # the fixture's journal holds 500
    counts = await sandbox.count()
    assert (counts["total"], counts["dropped"]) == (500, 3)
    assert (await sandbox.journal(limit=1000))[0]["input"] == "3"


async def test_an_input_that_is_no_unicode(sandbox):
    await sandbox.http.post(PHONE, headers=HEADERS, content=b'["\\ud800"]')
    answer = await sandbox.http.get("/control/journal/count")
    assert answer.json()["by_input"] == {"\ud800": 1}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "x"}, "since"),
        ({"limit": "-1"}, "limit"),
        ({"provider": "dadat"}, "provider"),
        ({"inptu": "1"}, "inptu"),
    ],
)
async def test_bad_filters_are_named(sandbox, query, field):
    answer = await sandbox.http.get("/control/journal", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_the_journal_can_be_cleared(sandbox):
    await ask(sandbox, "1")
    await sandbox.http.delete("/control/journal")
    assert (await sandbox.count())["total"] == 0
    await ask(sandbox, "2")
    assert [entry["seq"] for entry in await sandbox.journal()] == [2]


async def test_bad_settings_are_named(sandbox):
    answer = await sandbox.http.put("/control/settings/dadata", json={"requests_per_second": 0, "colour": "red"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"requests_per_second", "colour"}


async def test_reset_puts_everything_back(sandbox):
    before = (await sandbox.http.get("/control/settings")).json()
    await sandbox.fault("dadata", kind="429")
    await sandbox.settings("dadata", known_keys=[], requests_per_second=1)
    await sandbox.settings("sms_gateway", secret="x")
    await ask(sandbox, "1")
    await sandbox.http.post("/control/reset")
    assert (await sandbox.http.get("/control/settings")).json() == before
    assert (await sandbox.http.get("/control/faults")).json() == dict.fromkeys(NAMES)
    assert (await sandbox.count())["total"] == 0
    answers = [await sandbox.http.post(PHONE, headers=HEADERS, json=["1"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_health_and_the_page(sandbox):
    assert (await sandbox.http.get("/health")).json()["status"] == "ok"
    page = await sandbox.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for text in ("serega@yandex/ru", "[truncated]", "/sms-gateway/", "PUT /control/faults/{provider}"):
        assert text in page.text


async def start(**environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox",
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCES),
            "SANDBOX_HTTP_PORT": "0",
            "SANDBOX_GRPC_PORT": "0",
            "SANDBOX_BOT_PORT": "0",
            "SANDBOX_SMTP_PORT": "0",
            "SANDBOX_SMTPS_PORT": "0",
            "SANDBOX_SMPP_PORT": "0",
            **environ,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_stops_although_a_call_hangs(number, until):
    process = await start()
    ready = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
    assert ready["message"] == "ready"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ready['http_port']}", timeout=60) as http:
        await http.put("/control/faults/dadata", json={"kind": "hang"})
        hanging = asyncio.ensure_future(http.post(PHONE, headers=HEADERS, json=["1"]))

        async def there() -> bool:
            return (await http.get("/control/journal/count")).json()["total"] == 1

        await until(there)
        process.send_signal(number)
        output, errors = await asyncio.wait_for(process.communicate(), 30)
        with pytest.raises(httpx.TransportError):
            await hanging
    assert (process.returncode, output) == (0, b"")
    assert [json.loads(line)["message"] for line in errors.splitlines()] == ["stopped"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_HTTP_PORT", "x"),
        ("SANDBOX_HTTP_PORT", "65536"),
        ("SANDBOX_GRPC_PORT", "-1"),
        ("SANDBOX_JOURNAL_SIZE", "0"),
        ("SANDBOX_BIND", "203.0.113.7"),
        ("SANDBOX_BIND", "not an address"),
    ],
)
async def test_a_bad_setting_is_named(name, value):
    with pytest.raises(SettingError, match=f"^{name}: "):
        await Sandbox(
            read_settings({"SANDBOX_HTTP_PORT": "0", "SANDBOX_GRPC_PORT": "0", "SANDBOX_BOT_PORT": "0", name: value})
        ).start()


@pytest.mark.parametrize("name", ["SANDBOX_HTTP_PORT", "SANDBOX_GRPC_PORT", "SANDBOX_SMTP_PORT", "SANDBOX_SMPP_PORT"])
async def test_a_port_in_use_is_one_line(name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(**{name: str(taken.getsockname()[1])})
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    lines = errors.decode().splitlines()
    assert (process.returncode, output, len(lines)) == (2, b"", 1), errors.decode()
    assert lines[0].startswith(f"sandbox: {name}: ")


def test_defaults():
    assert read_settings({}) == Settings("127.0.0.1", 9090, 9091, "", 200_000, 5000, 2525, 2465, 2775)
    assert read_settings({"SANDBOX_HTTP_PORT": " "}).http_port == 9090
