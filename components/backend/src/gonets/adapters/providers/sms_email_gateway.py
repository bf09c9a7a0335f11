"""SMS by mail: many operators turn a mail to <number>@<their domain> into an SMS."""

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from gonets.adapters.providers.configuration import Configured, Text, wrong
from gonets.adapters.providers.email import IMPLICIT_TLS, MayBeEmpty, SmtpConfiguration, account
from gonets.adapters.providers.letters import letter, mailbox
from gonets.adapters.providers.smtp import Mailer
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
)
from gonets.core.channels.sms_text import MOST_PARTS, Alphabet, segmented

_PHONE = "{phone}"
_SAMPLE = "79161234567"


def _domain(value: str) -> str:
    try:
        mailbox(f"{_SAMPLE}@{value.removeprefix('@')}")
    except ValueError:
        raise ValueError("must be a domain such as sms.example.com") from None
    return value.removeprefix("@")


def _pattern(value: str) -> str:
    try:
        mailbox(value.replace(_PHONE, _SAMPLE))
    except ValueError as error:
        raise ValueError(f"with a number in the place of {_PHONE} it {error}") from None
    if _PHONE not in value:
        raise ValueError(f"must contain {_PHONE}, such as {_PHONE}@sms.example.com")
    return value


class GatewayConfiguration(SmtpConfiguration):
    """A mail server as for EMAIL, and the gateway behind it: `gatewayDomain`, or `addressPattern` where its addresses
    look otherwise."""

    gateway_domain: Annotated[
        Text | None,
        AfterValidator(lambda value: None if value is None else _domain(value)),
        Field(description="mail goes to <digits of the number>@<this domain>", examples=["sms.example.com"]),
    ] = None
    address_pattern: Annotated[
        Text | None,
        AfterValidator(lambda value: None if value is None else _pattern(value)),
        Field(description="{phone} is the number in digits, without +", examples=["+{phone}.acme@gate.example.com"]),
    ] = None
    subject: Annotated[
        MayBeEmpty, Field(description="of every mail; some gateways want a key or a sender name there")
    ] = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> "GatewayConfiguration":
        if self.gateway_domain is None and self.address_pattern is None:
            raise wrong("gatewayDomain", "must be given, or addressPattern")
        if self.gateway_domain is not None and self.address_pattern is not None:
            raise wrong("addressPattern", "must be left out where gatewayDomain is given")
        return self

    def address_of(self, phone: str) -> str:
        pattern = self.address_pattern or f"{_PHONE}@{self.gateway_domain}"
        return pattern.replace(_PHONE, phone.removeprefix("+"))


class SmsEmailGateway(Configured[GatewayConfiguration]):
    """Implements ChannelKind. That the gateway's mail server took a message says nothing of the SMS: there are no
    receipts.

    `implicit_tls`: ports where TLS begins with the first byte.
    """

    type = ChannelType.SMS_EMAIL_GATEWAY
    address: Address | None = Address.PHONE
    receipts = False

    def __init__(self, mailer: Mailer, implicit_tls: Collection[int] = (IMPLICIT_TLS,)) -> None:
        super().__init__(GatewayConfiguration)
        self._mailer = mailer
        self._implicit_tls = implicit_tls
        self.longest_send = mailer.timeout + 5

    def problem(self, message_text: str) -> str | None:
        return too_long(message_text)

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        configuration = self.read(channel.configuration)
        if send.to is None:
            return Refused(Refusal.PERMANENT, "the message names no phone number", step=Step.DESTINATION)
        if problem := too_long(send.message.text):
            return Refused(Refusal.PERMANENT, problem, step=Step.MESSAGE)
        try:
            content = letter(
                sender=mailbox(configuration.from_email),
                to=mailbox(configuration.address_of(send.to)),
                subject=configuration.subject,
                text=send.message.text,
                reference=send.reference,
            )
        except ValueError as error:
            return Refused(Refusal.PERMANENT, f"the gateway's address of this number {error}", step=Step.DESTINATION)
        outcome = await self._mailer.deliver(account(configuration, self._implicit_tls), content)
        if isinstance(outcome, Accepted):
            return replace(outcome, parts=len(segmented(send.message.text).parts))
        return outcome


def too_long(text: str, alphabet: Alphabet | None = None) -> str | None:
    """Why a text cannot be an SMS; None: it can."""
    parts = len(segmented(text, alphabet).parts)
    return f"the text makes {parts} SMS, and at most {MOST_PARTS} can be joined" if parts > MOST_PARTS else None
