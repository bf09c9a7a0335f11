"""E-mail through a mail server that the channel's owner names."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gonets.adapters.providers.configuration import Configuration, Configured, Destination, Number, Text, wrong
from gonets.adapters.providers.letters import letter, mailbox
from gonets.adapters.providers.smtp import Account, Mailer, Security
from gonets.core.channels.model import Address, Channel, ChannelType, Message, Refusal, Refused, Send, SendOutcome, Step

IMPLICIT_TLS = 465
"""RFC 8314: TLS from the first byte. On every other port it begins with STARTTLS."""


def _host(value: str) -> str:
    if any(character in value for character in "/@ ") or value.isdecimal():
        raise ValueError("must be the name or the IP address of a host, without a scheme")
    return value


def _sender(value: str) -> str:
    mailbox(value)
    return value


def _one_line(value: str) -> str:
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("must not contain control characters")
    return value


Host = Annotated[Text, AfterValidator(_host), Field(max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535), Number]
MayBeEmpty = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(_one_line)]


class SmtpConfiguration(Configuration):
    """A mail server and an account at it. Both `username` and `password` empty: nobody logs in."""

    smtp_host: Annotated[Host, Destination, Field(examples=["smtp.gmail.com"])]
    smtp_port: Annotated[
        Port, Destination, Field(description="465 is TLS from the first byte; others begin with STARTTLS")
    ] = 587
    username: MayBeEmpty
    password: Annotated[MayBeEmpty, Field(json_schema_extra={"writeOnly": True})]
    from_email: Annotated[
        Text, AfterValidator(_sender), Field(examples=["alerts@example.com", "Alerts <alerts@example.com>"])
    ]
    use_tls: Annotated[
        bool, Destination, Field(description="false sends everything, the password too, for all to read")
    ] = True

    @model_validator(mode="after")
    def _both_or_neither(self) -> "SmtpConfiguration":
        if self.password and not self.username:
            raise wrong("username", "must not be empty where there is a password")
        if self.username and not self.password:
            raise wrong("password", "must not be empty where there is a username")
        return self


def account(configuration: SmtpConfiguration, implicit_tls: Collection[int]) -> Account:
    if not configuration.use_tls:
        security = Security.NONE
    elif configuration.smtp_port in implicit_tls:
        security = Security.IMPLICIT
    else:
        security = Security.STARTTLS
    return Account(
        configuration.smtp_host, configuration.smtp_port, security, configuration.username, configuration.password
    )


def subject_of(message: Message) -> str:
    """What the message says, else "service: status" of its event, else a word."""
    if message.subject is not None:
        return message.subject
    service, status = message.event.get("serviceName"), message.event.get("status")
    if isinstance(service, str) and isinstance(status, str):
        return " ".join(f"{service}: {status}".split())
    return "Notification"


class Email(Configured[SmtpConfiguration]):
    """Implements ChannelKind. A mail server that has taken a message reports nothing afterwards: a message that bounces
    comes back to `fromEmail`.

    `implicit_tls`: ports where TLS begins with the first byte.
    """

    type = ChannelType.EMAIL
    address: Address | None = Address.EMAIL
    receipts = False

    def __init__(self, mailer: Mailer, implicit_tls: Collection[int] = (IMPLICIT_TLS,)) -> None:
        super().__init__(SmtpConfiguration)
        self._mailer = mailer
        self._implicit_tls = implicit_tls
        self.longest_send = mailer.timeout + 5

    def problem(self, message_text: str) -> str | None:  # noqa: ARG002
        return None

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        configuration = self.read(channel.configuration)
        if send.to is None:
            return Refused(Refusal.PERMANENT, "the message names no e-mail address", step=Step.DESTINATION)
        try:
            to = mailbox(send.to)
        except ValueError as error:
            return Refused(Refusal.PERMANENT, f"the recipient's address {error}", step=Step.DESTINATION)
        try:
            content = letter(
                sender=mailbox(configuration.from_email),
                to=to,
                subject=subject_of(send.message),
                text=send.message.text,
                reference=send.reference,
            )
        except ValueError as error:
            return Refused(Refusal.PERMANENT, str(error), step=Step.MESSAGE)
        return await self._mailer.deliver(account(configuration, self._implicit_tls), content)
