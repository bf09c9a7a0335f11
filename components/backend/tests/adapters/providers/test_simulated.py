"""Channels that send nowhere, and SMS that are files, too."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

from fakes.channels import FakeKind
from gonets.adapters.providers.simulated import Simulated, SmsFiles
from gonets.core.channels.model import Accepted, Address, Channel, ChannelType, Delivery, Message, Refused, Send

AT = datetime(2026, 3, 2, tzinfo=UTC)
CHANNEL = Channel(
    id=1, owner_id=1, name="ours", type=ChannelType.SMS_TWILIO, configuration={}, created_at=AT, updated_at=AT
)
SEND = Send(message=Message("Код: 4711"), to="+79161234567", reference="7-1-abc")


async def test_it_sends_nothing_and_reports_on_what_it_took():
    kind = FakeKind(ChannelType.SMS_TWILIO, Address.PHONE, receipts=True)
    reports: asyncio.Queue = asyncio.Queue()

    async def report(reference, receipt):
        reports.put_nowait((reference, receipt.delivery))

    simulated = Simulated(kind, report, random.Random(1), moment=0.01)
    sends = [replace(SEND, reference=f"{number}-1-abc") for number in range(2000)]
    outcomes = {send.reference: await simulated.send(CHANNEL, send) for send in sends}
    taken = [reference for reference, outcome in outcomes.items() if isinstance(outcome, Accepted)]
    async with asyncio.timeout(10):
        reported = dict([await reports.get() for _ in taken])
    assert not kind.sent
    assert reported.keys() == set(taken)
    assert 0.03 < sum(isinstance(outcome, Refused) for outcome in outcomes.values()) / 2000 < 0.07
    assert 0.15 < list(reported.values()).count(Delivery.UNDELIVERED) / len(taken) < 0.25


async def test_it_checks_as_the_real_one_does():
    kind = FakeKind()
    simulated = Simulated(kind, None, random.Random(1))
    assert simulated.check({"key": "k"}) == kind.check({"key": "k"})
    assert simulated.problem("x" * 2000) == kind.problem("x" * 2000)
    assert simulated.destination({"to": "5"}) == "5"
    assert isinstance(await simulated.send(CHANNEL, SEND), Accepted | Refused)


async def test_each_sms_is_a_file_too(tmp_path):
    kind = FakeKind(ChannelType.SMS_TWILIO, Address.PHONE)
    files = SmsFiles(kind, tmp_path / "sms")
    assert files.address is Address.PHONE
    assert await files.send(CHANNEL, SEND) == kind.outcome
    assert len(kind.sent) == 1
    [file] = (tmp_path / "sms").iterdir()
    assert file.read_text().splitlines()[-1] == "Код: 4711"
    assert "To: +79161234567" in file.read_text()
