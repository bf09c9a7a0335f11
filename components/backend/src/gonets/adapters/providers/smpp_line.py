"""The session of a channel with its SMS centre, kept up while receipts are expected, and what comes by it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import Context

from smpp34 import DeliverSm

from gonets.adapters.providers.smpp_link import INTERNATIONAL, WITH_HEADER, Account, Link, OnDeliver
from gonets.adapters.providers.smpp_receipts import PartReceipts
from gonets.adapters.providers.smpp_statuses import NOT_NOW, OK, receipt
from gonets.core.channels.model import ChannelType, Incoming, Receipt
from gonets.core.channels.ports import IncomingSink, ReceiptSink
from gonets.core.channels.sms_text import decoded

log = logging.getLogger(__name__)

_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE, _MESSAGE_PAYLOAD = 0x001E, 0x0427, 0x0424
_MESSAGE_TYPE = 0x3C
"""Bits of esm_class (5.2.12): none of them is set where the message is a person's."""
_WAIT_FOR_RECEIPTS = 24 * 3600.0
_LONGEST_PAUSE = 60.0

Bind = Callable[[Account, OnDeliver], Awaitable[Link]]


class Line:
    """The session of one channel: bound when it is needed, and again when it was lost while receipts are expected."""

    def __init__(
        self, channel_id: int, account: Account, bind: Bind, on_receipt: ReceiptSink, on_incoming: IncomingSink
    ) -> None:
        self.account = account
        self.parts = PartReceipts()
        self._channel_id = channel_id
        self._bind = bind
        self._on_receipt = on_receipt
        self._on_incoming = on_incoming
        self._link: Link | None = None
        self._binding: asyncio.Task[Link] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._wanted_until = 0.0

    async def link(self) -> Link:
        """A bound session. Raises what Link.bind does."""
        self._wanted_until = asyncio.get_running_loop().time() + _WAIT_FOR_RECEIPTS
        if self._link is not None and self._link.alive:
            return self._link
        if self._binding is None:
            # One login for all who wait.
            # In a context of its own: a session is about no message, and outlives the one that opens it.
            self._binding = Context().run(asyncio.ensure_future, self._bind(self.account, self._deliver))
            self._binding.add_done_callback(self._bound, context=Context())
        return await asyncio.shield(self._binding)

    def _bound(self, binding: asyncio.Task[Link]) -> None:
        self._binding = None
        if not binding.cancelled() and binding.exception() is None:
            self._link = binding.result()
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.ensure_future(self._keep())

    async def _keep(self) -> None:
        """Binds anew what was lost, so that receipts keep coming."""
        loop, pause = asyncio.get_running_loop(), 1.0
        while self._link is not None:
            if self._link.alive:
                await self._link.ended.wait()
                pause = 1.0
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            if loop.time() > self._wanted_until:
                return
            until = self._wanted_until
            try:
                await self.link()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                log.info(
                    "an SMS centre cannot be reached", extra={"channel_id": self._channel_id, "error": repr(error)}
                )
                pause = min(2 * pause, _LONGEST_PAUSE)
            self._wanted_until = until

    async def _deliver(self, message: DeliverSm) -> int:
        found = _receipt(message)
        if found is None:
            return await self._hear(message)
        whole = await self.parts.whole(found)
        if whole is None:
            return OK
        try:
            await self._on_receipt(self._channel_id, whole)
        except Exception:
            log.exception("a receipt could not be stored", extra={"channel_id": self._channel_id})
            return NOT_NOW
        return OK

    async def _hear(self, message: DeliverSm) -> int:
        """What is no receipt."""
        if message.esm_class & _MESSAGE_TYPE:
            log.info("an SMS centre sent what is neither receipt nor message", extra={"channel_id": self._channel_id})
            return OK
        try:
            await self._on_incoming(self._channel_id, ChannelType.SMS_SMPP, _incoming(message))
        except Exception:
            log.exception("a person's message could not be heeded", extra={"channel_id": self._channel_id})
            return NOT_NOW
        return OK

    async def close(self) -> None:
        for task in (self._keeper, self._binding):
            if task is not None:
                task.cancel()
        link, self._link = self._link, None
        if link is not None:
            await link.unbind()


def _incoming(message: DeliverSm) -> Incoming:
    payload = next((one.value for one in message.tlvs if one.tag == _MESSAGE_PAYLOAD), b"")
    octets = message.short_message or payload
    if message.esm_class & WITH_HEADER and octets:
        octets = octets[1 + octets[0] :]
    number = message.source_addr
    international = message.source_addr_ton == INTERNATIONAL and not number.startswith("+")
    return Incoming(f"+{number}" if international else number, decoded(octets, message.data_coding))


def _receipt(message: DeliverSm) -> Receipt | None:
    tlvs = {one.tag: one for one in message.tlvs}
    message_id, state = tlvs.get(_RECEIPTED_MESSAGE_ID), tlvs.get(_MESSAGE_STATE)
    named = message_id.value.partition(b"\0")[0].decode("latin-1") if message_id else None
    return receipt(named, state.as_int() if state else None, message.short_message.decode("latin-1"))
