"""Every kind of fault over HTTP, on the wire; and the seed, the limits and the end of a fault."""

import asyncio
import time

import httpx
import pytest

from sandbox.faults import Fault, Faults
from sandbox.limits import TokenBucket

PHONE = "/dadata/api/v1/clean/phone"


async def ask(sandbox, number: str = "+79851234567") -> httpx.Response:
    headers = {"Authorization": "Token k", "X-Secret": "s"}
    return await sandbox.http.post(PHONE, headers=headers, json=[number])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 599])
async def test_status(sandbox, status):
    await sandbox.fault("dadata", kind="status", status=status)
    answer = await ask(sandbox)
    assert answer.status_code == status
    assert set(answer.json()) == {"family", "reason", "message"}
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("kind", ["429", 429])
async def test_429_with_retry_after(sandbox, kind):
    await sandbox.fault("dadata", kind=kind, retry_after=3)
    answer = await ask(sandbox)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


async def test_429_without(sandbox):
    await sandbox.fault("dadata", kind="429")
    answer = await ask(sandbox)
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers


async def test_retry_after_with_a_status(sandbox):
    await sandbox.fault("dadata", kind="status", status=503, retry_after=0)
    assert (await ask(sandbox)).headers["retry-after"] == "0"


@pytest.mark.parametrize(("kind", "seen"), [("reset", "1"), ("reset_before", None)])
async def test_reset(sandbox, kind, seen):
    await sandbox.fault("dadata", kind=kind)
    with pytest.raises(ConnectionResetError):
        await sandbox.raw(PHONE)
    entry = (await sandbox.journal())[-1]
    assert (entry["input"], entry["status"], entry["outcome"], entry["fault"]) == (seen, None, "faulted", kind)


async def test_truncated(sandbox):
    _, whole = await sandbox.raw(PHONE)
    await sandbox.fault("dadata", kind="truncated")
    head, body = await sandbox.raw(PHONE)
    assert f"content-length: {len(whole)}" in head.decode().lower()
    assert body == whole[: len(whole) // 2]


async def test_not_json(sandbox):
    await sandbox.fault("dadata", kind="not_json")
    answer = await ask(sandbox)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


async def test_garbage_depends_on_the_seed_alone(sandbox):
    seen = []
    for seed in (1, 1, 2):
        await sandbox.fault("dadata", kind="garbage", seed=seed)
        seen.append((await ask(sandbox)).content)
    assert seen[0] == seen[1] != seen[2]
    with pytest.raises(UnicodeDecodeError):
        seen[0].decode()


async def test_empty_and_wrong_json(sandbox):
    await sandbox.fault("dadata", kind="empty")
    assert (await ask(sandbox)).content == b""
    await sandbox.fault("dadata", kind="wrong_json")
    assert isinstance((await ask(sandbox)).json(), dict)


@pytest.mark.parametrize("release", [("DELETE", "/control/faults"), ("POST", "/control/reset")])
async def test_a_hanging_call_is_let_go(sandbox, release, until):
    await sandbox.fault("dadata", kind="hang")
    call = asyncio.ensure_future(sandbox.raw(PHONE))

    async def there() -> bool:
        return (await sandbox.count(outcome="in_progress"))["total"] == 1

    await until(there)
    assert not call.done()
    await sandbox.http.request(*release)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(call, 30)
    assert (await ask(sandbox)).status_code == 200


async def test_a_client_that_leaves_is_noticed(sandbox, until):
    await sandbox.fault("dadata", kind="hang")
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.http.post(PHONE, json=["1"], timeout=httpx.Timeout(30, read=0.3))

    async def noticed() -> bool:
        return (await sandbox.journal())[-1]["outcome"] == "client_gone"

    await until(noticed)


async def test_latency_comes_without_an_error(sandbox):
    await sandbox.fault("dadata", latency_ms=60)
    began = time.perf_counter()
    assert (await ask(sandbox)).status_code == 200
    assert time.perf_counter() - began >= 0.06


async def test_a_rate_repeats_with_its_seed(sandbox):
    async def pattern(seed: int) -> list[int]:
        await sandbox.fault("dadata", kind="status", status=500, rate=0.5, seed=seed)
        return [(await ask(sandbox)).status_code for _ in range(40)]

    first, again, other = await pattern(7), await pattern(7), await pattern(8)
    assert first == again != other
    assert 5 < first.count(500) < 35
    faults = (await sandbox.http.get("/control/faults")).json()["dadata"]
    assert (faults["calls"], faults["faulted"]) == (40, other.count(500))


async def test_the_seed_of_one_provider_does_not_touch_another(sandbox):
    await sandbox.fault("yandexgpt", kind="status", status=500)
    assert (await ask(sandbox)).status_code == 200


async def test_times(sandbox):
    await sandbox.fault("dadata", kind="429", times=2)
    assert [(await ask(sandbox)).status_code for _ in range(3)] == [429, 429, 200]
    assert (await sandbox.http.get("/control/faults")).json()["dadata"]["active"] is False


async def test_a_fault_of_one_operation(sandbox):
    await sandbox.fault("dadata", kind="429", operation="email", times=1)
    assert (await ask(sandbox)).status_code == 200
    headers = {"Authorization": "Token k", "X-Secret": "s"}
    answers = [await sandbox.http.post("/dadata/api/v1/clean/email", headers=headers, json=["a@b.ru"]) for _ in "12"]
    assert [answer.status_code for answer in answers] == [429, 200]


async def test_a_new_fault_replaces_the_old(sandbox):
    await sandbox.fault("dadata", kind="429")
    await sandbox.fault("dadata")
    assert (await ask(sandbox)).status_code == 200


async def test_for_seconds_and_a_range_of_latency():
    now = [100.0]
    faults = Faults(["p"], clock=lambda: now[0])
    faults.set("p", Fault(kind="429", for_seconds=2, latency_ms=(30, 150)))
    delays = [faults.decide("p", "x").latency_s for _ in range(50)]
    assert 0.03 <= min(delays) < 0.06 < 0.12 < max(delays) <= 0.15
    now[0] = 101.99
    assert faults.decide("p", "x").kind == "429"
    now[0] = 102.0
    assert (faults.decide("p", "x").kind, faults.decide("p", "x").latency_s) == (None, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "explode"}, "kind"),
        ({"kind": "UNAVAILABLE"}, "kind"),
        ({"kind": ["429"]}, "kind"),
        ({"kind": "status"}, "status"),
        ({"kind": "status", "status": 200}, "status"),
        ({"kind": "429", "status": 500}, "status"),
        ({"kind": "hang", "retry_after": 1}, "retry_after"),
        ({"kind": "429", "retry_after": -1}, "retry_after"),
        ({"rate": 1.5}, "rate"),
        ({"rate": None}, "rate"),
        ({"seed": "x"}, "seed"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": [5, 1]}, "latency_ms"),
        ({"latency_ms": [1, 2, 3]}, "latency_ms"),
        ({"times": 0}, "times"),
        ({"for_seconds": 0}, "for_seconds"),
        ({"operation": "fax"}, "operation"),
        ({"retries": 1}, "retries"),
        ([], "body"),
        (None, "body"),
    ],
)
async def test_a_bad_fault_is_named(sandbox, body, field):
    answer = await sandbox.http.put("/control/faults/dadata", json=body)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {field}
    assert (await sandbox.http.get("/control/faults")).json()["dadata"] is None


async def test_a_body_that_is_no_json(sandbox):
    answer = await sandbox.http.put("/control/faults/dadata", content=b"{")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "body")


async def test_a_provider_nobody_plays(sandbox):
    for path in ("/control/faults/nobody", "/control/settings/nobody"):
        answer = await sandbox.http.put(path, json={})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "provider")


def test_a_bucket_fills_again_but_not_beyond_the_brim():
    now = [0.0]
    bucket = TokenBucket(20, 1.0, clock=lambda: now[0])
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]
    now[0] = 0.1
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now[0] = 1000.0
    assert sum(bucket.take() for _ in range(50)) == 20
