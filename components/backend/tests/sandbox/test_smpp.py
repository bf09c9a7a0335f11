"""The sandbox's SMS centre, spoken to by smpp34's own client."""

import asyncio
import contextlib
from typing import Any

import pytest
import smpp34


async def bind(sandbox, system_id: str = "gonets", password: str = "secret") -> smpp34.Smsc:
    client = smpp34.Client(
        "127.0.0.1", sandbox.running.smpp_port, system_id, password, bind_type="TRX", connect_timeout_ms=30_000
    )
    return await client.connect()


async def submit(smsc: smpp34.Smsc, text: str = "Привет", to: str = "79161234567", **about: Any) -> smpp34.SubmitSmResp:
    options: dict[str, Any] = {"source_addr": "Gonets", "data_coding": 8, "registered_delivery": 1} | about
    header = options.pop("header", b"")
    return await asyncio.wait_for(smsc.submit_sm(to, header + text.encode("utf-16-be"), **options), 30)


async def inbox(sandbox) -> list[dict[str, Any]]:
    return (await sandbox.http.get("/control/inbox", params={"provider": "smpp"})).json()["messages"]


async def test_a_text_is_shown_and_reported(sandbox):
    smsc = await bind(sandbox)
    answer = await submit(smsc)
    assert answer.is_success
    receipt = await asyncio.wait_for(smsc.next(), 30)
    assert isinstance(receipt, smpp34.DeliverSmEvent)
    assert receipt.esm_class == 0x04
    assert f"id:{answer.message_id} ".encode() in receipt.short_message
    assert b"stat:DELIVRD" in receipt.short_message
    assert {one.tag: one.value for one in receipt.tlvs} == {
        0x001E: f"{answer.message_id}\0".encode(),
        0x0427: b"\x02",
    }
    (message,) = await inbox(sandbox)
    assert (message["to"], message["sender"], message["text"]) == ("+79161234567", "Gonets", "Привет")
    assert message["details"] == {"parts": 1, "data_coding": 8}
    await smsc.unbind()


async def test_gsm7(sandbox):
    smsc = await bind(sandbox)
    await smsc.submit_sm("79161234567", b"\x00 5 \x1be", source_addr="1", data_coding=0)
    assert (await inbox(sandbox))[0]["text"] == "@ 5 €"
    await smsc.unbind()


async def test_parts_are_put_together(sandbox):
    smsc = await bind(sandbox)
    for number, text in ((2, "мир"), (1, "Привет, ")):
        await submit(smsc, text, esm_class=0x40, header=bytes([5, 0, 3, 77, 2, number]))
    (message,) = await inbox(sandbox)
    assert (message["text"], message["details"]["parts"]) == ("Привет, мир", 2)
    await smsc.unbind()


@pytest.mark.parametrize(("end", "status"), [("0002", 0x0B), ("0003", 0x58)])
async def test_numbers_that_are_refused(sandbox, end, status):
    smsc = await bind(sandbox)
    assert (await submit(smsc, to=f"7916123{end}")).command_status == status
    assert await inbox(sandbox) == []
    await smsc.unbind()


@pytest.mark.parametrize(("end", "state"), [("0001", b"UNDELIV"), ("0005", b"EXPIRED"), ("0006", b"REJECTD")])
async def test_numbers_that_are_not_reached(sandbox, end, state):
    smsc = await bind(sandbox)
    assert (await submit(smsc, to=f"7916123{end}")).is_success
    receipt = await asyncio.wait_for(smsc.next(), 30)
    assert isinstance(receipt, smpp34.DeliverSmEvent)
    assert b"stat:" + state in receipt.short_message
    assert await inbox(sandbox) == []
    await smsc.unbind()


async def test_receipts_wait_for_a_session(sandbox):
    await sandbox.settings("smpp", receipt_after_s=2)
    smsc = await bind(sandbox)
    answer = await submit(smsc)
    await smsc.unbind()
    await asyncio.sleep(2.1)  # the time that the setting above names
    later = await bind(sandbox)
    receipt = await asyncio.wait_for(later.next(), 30)
    assert isinstance(receipt, smpp34.DeliverSmEvent)
    assert f"id:{answer.message_id} ".encode() in receipt.short_message
    await later.unbind()


@pytest.mark.parametrize("login", [("unknown", "x"), ("gonets", "unknown")])
async def test_logins_that_are_refused(sandbox, login):
    with pytest.raises(smpp34.SmppError):
        await bind(sandbox, *login)
    assert (await sandbox.count(provider="smpp", operation="bind"))["by_outcome"] == {"refused": 1}


FAULTS = [
    ({"kind": "ESME_RMSGQFUL"}, 0x14, False),
    ({"kind": "429"}, 0x58, False),
    ({"kind": "status", "status": 500}, 0x08, False),
    ({"kind": "reset"}, None, True),
    ({"kind": "reset_before"}, None, False),
    ({"kind": "truncated"}, None, True),
    ({"kind": "garbage"}, None, True),
    ({"kind": "hang"}, None, True),
]


@pytest.mark.parametrize(("fault", "status", "taken"), FAULTS)
async def test_faults(sandbox, until, fault, status, taken):
    smsc = await bind(sandbox)
    await sandbox.fault("smpp", operation="submit_sm", **fault)
    submitting = asyncio.ensure_future(submit(smsc))

    async def met() -> bool:
        return (await sandbox.count(provider="smpp", operation="submit_sm"))["total"] == 1

    await until(met)
    if fault["kind"] == "hang":
        await sandbox.http.delete("/control/faults")
    if status is None:
        with pytest.raises((smpp34.SmppError, TimeoutError)):
            await submitting
    else:
        assert (await submitting).command_status == status
    assert len(await inbox(sandbox)) == int(taken)
    with contextlib.suppress(smpp34.SmppError):
        await smsc.unbind()


async def test_statuses_of_smpp_are_for_smpp(sandbox):
    answer = await sandbox.http.put("/control/faults/smtp", json={"kind": "ESME_RTHROTTLED"})
    assert answer.status_code == 422
