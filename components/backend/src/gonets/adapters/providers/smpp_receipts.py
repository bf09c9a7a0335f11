"""Receipts of long texts: each part has its own; the text is delivered when all of its parts are."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gonets.core.channels.model import Delivery, Receipt

_REMEMBERED = 50_000  # parts


@dataclass(slots=True)
class _Text:
    """`name`: the id of its last part, which is the message's for everyone else; `waiting`: parts not delivered yet."""

    name: str
    waiting: set[str]
    failed: bool = False


class PartReceipts:
    """What was sent in several parts by this process. After a restart, or where another worker's session gets it, the
    receipt of the last part stands for all."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, _Text] = OrderedDict()
        self._under_way: set[asyncio.Future[None]] = set()

    def begin(self) -> asyncio.Future[None]:
        """To be called before the first part leaves, and `sent` after the last: a receipt may overtake an answer."""
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(under_way)
        return under_way

    def sent(self, under_way: asyncio.Future[None], parts: Sequence[str]) -> None:
        """`parts`: their ids; empty where not all of them were taken."""
        if parts:
            text = _Text(parts[-1], set(parts))
            self._texts.update(dict.fromkeys(parts, text))
            while len(self._texts) > _REMEMBERED:
                self._texts.popitem(last=False)
        self._under_way.discard(under_way)
        under_way.set_result(None)

    async def whole(self, receipt: Receipt) -> Receipt | None:
        """What the receipt of a part means for its text; None: nothing yet."""
        part = receipt.provider_id or ""
        if part not in self._texts and self._under_way:
            await asyncio.wait(set(self._under_way))
        text = self._texts.get(part)
        if text is None:
            return receipt
        if receipt.final:
            text.waiting.discard(part)
            del self._texts[part]
        if text.failed or (receipt.delivery is Delivery.DELIVERED and text.waiting):
            return None
        text.failed = receipt.final and receipt.delivery is not Delivery.DELIVERED
        return replace(receipt, provider_id=text.name)
