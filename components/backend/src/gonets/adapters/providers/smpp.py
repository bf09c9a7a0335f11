"""SMS through an SMS centre, by SMPP 3.4."""

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from smpp34 import SubmitSm

from gonets.adapters.providers.configuration import Configuration, Configured, Destination, Number, Secret, Text
from gonets.adapters.providers.egress import Egress, EgressError, ForbiddenAddress
from gonets.adapters.providers.email import Host, MayBeEmpty, Port
from gonets.adapters.providers.smpp_line import Line
from gonets.adapters.providers.smpp_link import (
    INTERNATIONAL,
    WITH_HEADER,
    Account,
    BindRefused,
    Link,
    LinkLost,
    OnDeliver,
)
from gonets.adapters.providers.smpp_statuses import OK, receipt, refused
from gonets.adapters.providers.sms_email_gateway import too_long
from gonets.adapters.providers.trust import distrusted
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Receipt,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
    Unknown,
)
from gonets.core.channels.ports import IncomingSink, ReceiptSink
from gonets.core.channels.sms_text import Alphabet, Segmented, encoded, segmented

log = logging.getLogger(__name__)

_ALPHANUMERIC = 5
_E164 = 1
_DATA_CODING = {Alphabet.GSM7: 0, Alphabet.UCS2: 8}
_NUMBER = re.compile(r"\+?[0-9]{3,15}")
_PART_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a later part of a text is offered again, that the centre certainly did not take: its first parts are
worth nothing without it."""


def _source(value: str) -> str:
    if re.fullmatch(r"\+?[0-9]{1,20}", value) or re.fullmatch(r"[ -~]{1,11}", value):
        return value.removeprefix("+")
    raise ValueError("must be a number, or a name of at most 11 Latin letters, digits and signs")


def _statuses(value: list[int]) -> list[int]:
    if any(not 0 < status <= 0xFFFFFFFF for status in value):
        raise ValueError("must be command statuses as numbers, such as 69 for 0x45")
    return value


_Kind = Annotated[int, Field(ge=0, le=255), Number]
_Short = Annotated[MayBeEmpty, StringConstraints(max_length=40), Field(pattern=r"^[\x20-\x7e]*$")]


class SmppConfiguration(Configuration):
    """An account at an SMS centre. What the centre's operator does not mention is left as it is."""

    host: Annotated[Host, Destination, Field(examples=["smpp.example.com"])]
    port: Annotated[Port, Destination] = 2775
    system_id: Annotated[Text, Field(max_length=64)]
    password: Annotated[Secret, Field(max_length=64)]
    source_address: Annotated[
        Text,
        AfterValidator(_source),
        Field(description="the sender that phones show", examples=["Gonets", "+79990000000"]),
    ]
    use_tls: Annotated[bool, Destination, Field(description="SMPP over TLS, usually on port 3550")] = False
    system_type: _Short = ""
    service_type: _Short = ""
    address_range: _Short = ""
    source_ton: Annotated[_Kind | None, Field(description="left out: 5 for a name, 1 for a number")] = None
    source_npi: Annotated[_Kind | None, Field(description="left out: 0 for a name, 1 for a number")] = None
    destination_ton: _Kind = INTERNATIONAL
    destination_npi: _Kind = _E164
    alphabet: Annotated[
        Literal["auto", "ucs2"], Field(description="auto: GSM-7 where it has every character, else UCS-2")
    ] = "auto"
    window: Annotated[int, Field(ge=1, le=1000, description="requests that may be unanswered at one time"), Number] = 10
    receipt_ids: Annotated[
        Literal["same", "decimal"],
        Field(description="decimal: the centre names a message in hexadecimal, and in its receipt in decimal"),
    ] = "same"
    temporary_statuses: Annotated[
        list[int] | None,
        AfterValidator(lambda value: None if value is None else _statuses(value)),
        Field(description="command statuses by which this centre means: try later"),
    ] = None

    @property
    def source_kind(self) -> tuple[int, int]:
        """TON and NPI."""
        number = self.source_address.isdecimal()
        ton = self.source_ton if self.source_ton is not None else INTERNATIONAL if number else _ALPHANUMERIC
        npi = self.source_npi if self.source_npi is not None else _E164 if number else 0
        return ton, npi

    def account(self) -> Account:
        return Account(
            self.host,
            self.port,
            self.system_id,
            self.password,
            self.system_type,
            self.address_range,
            self.use_tls,
            self.window,
        )

    def spelled(self, message_id: str) -> str:
        """The id as the receipt will spell it."""
        if self.receipt_ids == "decimal":
            try:
                return str(int(message_id, 16))
            except ValueError:
                return message_id
        return message_id


@dataclass(slots=True)
class _Progress:
    """`handed_over`: a part was written, and nothing was heard of it yet."""

    handed_over: bool = False

    def marking(self, make: Callable[[int], SubmitSm]) -> Callable[[int], SubmitSm]:
        """Link.submit makes the PDU in the moment it writes it."""

        def made(sequence: int) -> SubmitSm:
            self.handed_over = True
            return make(sequence)

        return made


class Smpp(Configured[SmppConfiguration]):
    """Implements ChannelKind, Inquiry and Listening. Receipts come by the sessions, and go to `on_receipt`; what people
    write to the channel's number goes to `on_incoming`.

    `timeout`: seconds for one message in all, `connect_timeout` for connecting and logging in; `enquire_every`: seconds
    of silence after which the centre is asked if it is still there.
    """

    type = ChannelType.SMS_SMPP
    address: Address | None = Address.PHONE
    receipts = True

    def __init__(
        self,
        egress: Egress,
        tls: Callable[[], ssl.SSLContext],
        on_receipt: ReceiptSink,
        on_incoming: IncomingSink,
        *,
        timeout: float = 30,
        connect_timeout: float = 10,
        enquire_every: float = 30,
    ) -> None:
        super().__init__(SmppConfiguration)
        self._egress = egress
        self._tls = tls
        self._on_receipt = on_receipt
        self._on_incoming = on_incoming
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._enquire_every = enquire_every
        self._lines: dict[int, Line] = {}
        self._reference = random.randrange(256)  # noqa: S311 - names the parts of a text for a phone
        self._farewells: set[asyncio.Task[None]] = set()
        self.longest_send = timeout + 5

    async def close(self) -> None:
        """Unbinds. Receipts that come later wait at the centres."""
        lines = list(self._lines.values())
        self._lines.clear()
        await asyncio.gather(*(line.close() for line in lines), *self._farewells)

    def problem(self, message_text: str) -> str | None:
        return too_long(message_text)

    async def listen(self, channel: Channel) -> None:
        """Binds, if it is not bound."""
        try:
            await self._line(channel, self.read(channel.configuration)).link()
        except (BindRefused, LinkLost, OSError, EgressError) as error:
            log.warning("an SMS centre cannot be reached", extra={"channel_id": channel.id, "error": repr(error)})

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        configuration = self.read(channel.configuration)
        if send.to is None or not _NUMBER.fullmatch(send.to):
            return Refused(Refusal.PERMANENT, "the message names no phone number", step=Step.DESTINATION)
        alphabet = Alphabet.UCS2 if configuration.alphabet == "ucs2" else None
        if problem := too_long(send.message.text, alphabet):
            return Refused(Refusal.PERMANENT, problem, step=Step.MESSAGE)
        text, progress = segmented(send.message.text, alphabet), _Progress()
        facts = {"to": send.to, "request": send.message.text, "parts": len(text.parts)}
        log.debug("SMS centre asked", extra={"channel_id": channel.id} | facts)
        line = self._line(channel, configuration)
        try:
            async with asyncio.timeout(self._timeout):
                link = await self._bound(line, configuration)
                if isinstance(link, Refused):
                    return link
                return await self._submit(link, line, configuration, send.to.removeprefix("+"), text, progress)
        except TimeoutError:
            if progress.handed_over:
                return Unknown("the SMS centre did not answer in time; it may have taken the message")
            return Refused(Refusal.TEMPORARY, "the SMS centre does not answer as fast as messages come")

    async def inquire(self, channel: Channel, send: Send, provider_id: str | None) -> Receipt | None:  # noqa: ARG002
        configuration = self.read(channel.configuration)
        if provider_id is None or configuration.receipt_ids != "same":
            return None
        line = self._line(channel, configuration)
        try:
            async with asyncio.timeout(self._timeout):
                link = await self._bound(line, configuration)
                if isinstance(link, Refused):
                    return None
                answer = await link.query(provider_id, *configuration.source_kind, configuration.source_address)
        except (TimeoutError, LinkLost):
            return None
        # message_id, final_date, message_state, error_code
        fields = answer.body.split(b"\0", 2)
        if answer.status != OK or len(fields) < 3 or not fields[2]:
            return None
        return receipt(provider_id, fields[2][0], "")

    def _line(self, channel: Channel, configuration: SmppConfiguration) -> Line:
        account = configuration.account()
        line = self._lines.get(channel.id)
        if line is None or line.account != account:
            if line is not None:
                self._leave(line)
            line = Line(channel.id, account, self._bind, self._on_receipt, self._on_incoming)
            self._lines[channel.id] = line
        return line

    def _leave(self, line: Line) -> None:
        task = asyncio.ensure_future(line.close())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _bind(self, account: Account, on_deliver: OnDeliver) -> Link:
        return await Link.bind(
            account,
            self._egress,
            self._tls,
            on_deliver,
            timeout=self._connect_timeout,
            enquire_every=self._enquire_every,
        )

    async def _bound(self, line: Line, configuration: SmppConfiguration) -> Link | Refused:
        try:
            return await line.link()
        except BindRefused as error:
            return refused(error.status, temporary=configuration.temporary_statuses or (), binding=True)
        except EgressError as error:
            refusal = Refusal.CONFIGURATION if isinstance(error, ForbiddenAddress) else Refusal.TEMPORARY
            return Refused(refusal, error.reason, hint=error.hint or "check host and port", step=Step.CONNECT)
        except ssl.SSLError as error:
            return distrusted(error, "the SMS centre", configuration.host, "check port and useTls")
        except TimeoutError:
            reason, hint = "the SMS centre did not answer in time", "check port and useTls"
            return Refused(Refusal.TEMPORARY, reason, hint=hint, step=Step.CONNECT)
        except (LinkLost, OSError):
            reason = "the SMS centre closed the connection without an answer"
            hint = "check port and useTls; many centres know their clients' IP addresses, and hang up on others"
            return Refused(Refusal.TEMPORARY, reason, hint=hint, step=Step.CONNECT)

    async def _submit(
        self,
        link: Link,
        line: Line,
        configuration: SmppConfiguration,
        to: str,
        text: Segmented,
        progress: _Progress,
    ) -> SendOutcome:
        under_way, ids = line.parts.begin(), list[str]()
        try:
            for number, make in enumerate(self._parts(configuration, to, text), start=1):
                outcome = await self._part_taken(link, make, configuration, progress, again=number > 1)
                if not isinstance(outcome, str):
                    return _partial(outcome, number, len(text.parts))
                ids.append(outcome)
        finally:
            complete = len(ids) == len(text.parts) > 1
            line.parts.sent(under_way, ids if complete else ())
        return Accepted(ids[-1] or None, parts=len(ids))

    async def _part_taken(
        self,
        link: Link,
        make: Callable[[int], SubmitSm],
        configuration: SmppConfiguration,
        progress: _Progress,
        *,
        again: bool,
    ) -> str | Refused | Unknown:
        """The id of a part that was taken."""
        for pause in (*_PART_PAUSES, None) if again else (None,):
            try:
                answer = await link.submit(progress.marking(make))
            except LinkLost as error:
                if error.written:
                    return Unknown("the connection to the SMS centre was lost before it answered")
                return Refused(Refusal.TEMPORARY, "the connection to the SMS centre was lost", step=Step.SEND)
            progress.handed_over = False
            log.debug("SMS centre answered", extra={"status": answer.status, "message_id": answer.message_id})
            if answer.status == OK:
                return configuration.spelled(answer.message_id)
            outcome = refused(answer.status, temporary=configuration.temporary_statuses or ())
            if outcome.refusal is not Refusal.TEMPORARY or pause is None:
                break
            await asyncio.sleep(pause)
        return outcome

    def _parts(self, configuration: SmppConfiguration, to: str, text: Segmented) -> Sequence[Callable[[int], SubmitSm]]:
        self._reference = (self._reference + 1) % 256
        ton, npi = configuration.source_kind
        total = len(text.parts)

        def part(number: int, content: bytes) -> Callable[[int], SubmitSm]:
            header = bytes([5, 0, 3, reference, total, number]) if total > 1 else b""
            return lambda sequence: SubmitSm(
                configuration.source_address,
                to,
                header + content,
                service_type=configuration.service_type,
                source_addr_ton=ton,
                source_addr_npi=npi,
                dest_addr_ton=configuration.destination_ton,
                dest_addr_npi=configuration.destination_npi,
                esm_class=WITH_HEADER if header else 0,
                registered_delivery=1,
                data_coding=_DATA_CODING[text.alphabet],
                sequence_number=sequence,
            )

        reference = self._reference
        return [part(number, encoded(one, text.alphabet)) for number, one in enumerate(text.parts, start=1)]


def _partial(outcome: Refused | Unknown, number: int, total: int) -> Refused | Unknown:
    if number == 1 or isinstance(outcome, Unknown):
        return outcome
    return Refused(
        outcome.refusal,
        f"{outcome.reason}; it was part {number} of {total}, and no phone shows a text that lacks a part",
        code=outcome.code,
        hint=outcome.hint,
        retry_after=outcome.retry_after,
        step=outcome.step,
    )
