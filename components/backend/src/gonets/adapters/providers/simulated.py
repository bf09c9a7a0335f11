"""In place of providers: nothing leaves, and what would have come back comes back. For trying things out."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gonets.core.channels.model import (
    Accepted,
    Channel,
    Delivery,
    Receipt,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
)
from gonets.core.channels.ports import ChannelKind
from gonets.core.shared.errors import GonetsError
from gonets.core.shared.json import JSON

log = logging.getLogger(__name__)

NETWORK_ERRORS = 0.05
UNDELIVERED = 0.2

Report = Callable[[str, Receipt], Awaitable[None]]
"""Where it is reported what became of the try with this reference."""


class Simulated:
    """Implements ChannelKind: checks as the real one does, and sends nothing. One send in twenty ends with a network
    error; of the others one in five is not delivered, where deliveries are reported. `moment`: seconds after which the
    report comes, at most."""

    def __init__(self, kind: ChannelKind, report: Report, chance: random.Random, *, moment: float = 1.0) -> None:
        self.type = kind.type
        self.address = kind.address
        self.receipts = kind.receipts
        self.schema: Mapping[str, JSON] = kind.schema
        self.secrets = kind.secrets
        self.destinations = kind.destinations
        self.longest_send = kind.longest_send
        self._kind = kind
        self._report = report
        self._chance = chance
        self._moment = moment
        self._reporting: set[asyncio.Task[None]] = set()

    def check(self, configuration: Mapping[str, JSON]) -> dict[str, JSON]:
        return self._kind.check(configuration)

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        return self._kind.destination(configuration)

    def problem(self, message_text: str) -> str | None:
        return self._kind.problem(message_text)

    async def send(self, channel: Channel, send: Send) -> SendOutcome:  # noqa: ARG002
        if self._chance.random() < NETWORK_ERRORS:
            return Refused(Refusal.TEMPORARY, "simulated: cannot connect to the provider", step=Step.CONNECT)
        if self.receipts:
            task = asyncio.create_task(self._report_later(send.reference))
            self._reporting.add(task)
            task.add_done_callback(self._reporting.discard)
        return Accepted(f"SIM-{send.reference}")

    async def _report_later(self, reference: str) -> None:
        await asyncio.sleep(self._chance.random() * self._moment)
        receipt = Receipt(Delivery.DELIVERED, final=True)
        if self._chance.random() < UNDELIVERED:
            reason = "simulated: the phone is off or out of reach"
            receipt = Receipt(Delivery.UNDELIVERED, final=True, reason=reason, refusal=Refusal.TEMPORARY)
        try:
            await self._report(reference, receipt)
        except GonetsError as error:
            log.warning("a simulated report was not taken", extra={"reason": error.reason})


class SmsFiles:
    """A kind that also writes each message that it sends as a text file, in development. Everything else is the
    kind's."""

    def __init__(self, kind: ChannelKind, directory: Path) -> None:
        self._kind = kind
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        await asyncio.to_thread(self._write, channel, send)
        return await self._kind.send(channel, send)

    def _write(self, channel: Channel, send: Send) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        head = f"To: {send.to}\nBy: {channel.name} ({channel.type.value})\nReference: {send.reference}\n"
        file = self._directory / f"{channel.type.value.lower()}-{send.reference}.txt"
        file.write_text(f"{head}\n{send.message.text}\n", encoding="utf-8")
