"""What the types of channels that speak HTTP have in common: from a call to an outcome, and words without secrets."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator
from yarl import URL

from gonets.adapters.providers.configuration import Configuration, Configured, Text
from gonets.adapters.providers.transport import Answer, CallError, HttpTransport
from gonets.core.channels import masks
from gonets.core.channels.model import Channel, Refusal, Refused, Send, SendOutcome, Step, Unknown
from gonets.core.shared.errors import Category, InvalidFields
from gonets.core.shared.json import JSON
from gonets.core.shared.masking import Masking, forms

log = logging.getLogger(__name__)

_LONGEST_WORDS = 200
_SHORTEST_SECRET = 4  # a shorter one would be found inside of harmless words

_LONGEST_LOGGED = 4000  # bytes of a body

M = TypeVar("M", bound=Configuration)

# Without it nothing is logged: nobody has said what would have to be masked.
_masking: ContextVar[Masking | None] = ContextVar("masking", default=None)


def _url(value: str) -> str:
    try:
        url = URL(value)
    except ValueError:
        raise ValueError("must be an address that begins with https:// or http://") from None
    if url.scheme not in {"http", "https"} or not url.host or " " in value or url.port == 0:
        raise ValueError("must be an address that begins with https:// or http://, and name a host")
    if url.user is not None or url.password is not None:
        raise ValueError("must hold no user and password")
    return value


Url = Annotated[Text, AfterValidator(_url)]
"""The whole address of something that a user typed."""


class HttpKind(Configured[M], ABC):
    """The common half of a ChannelKind. The other half writes the request and reads the answer."""

    def __init__(self, model: type[M], transport: HttpTransport) -> None:
        super().__init__(model)
        self._transport = transport
        self._last: tuple[Mapping[str, JSON], M] | None = None

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        try:
            configuration = self._read_once(channel.configuration)
        except InvalidFields as error:  # older rules let it pass
            return Refused(Refusal.CONFIGURATION, error.reason, hint="change the channel", step=Step.DESTINATION)
        with self._logged(channel, self.told(configuration)):
            return await self._send(configuration, send)

    @contextmanager
    def _logged(self, channel: Channel, told: Collection[str] = ()) -> Iterator[None]:
        """Each request made inside, and each response, is a line at DEBUG, without the channel's secrets."""
        if not log.isEnabledFor(logging.DEBUG):
            yield
            return
        mark = _masking.set(Masking({*masks.texts(channel.configuration, self.secrets), *told}))
        try:
            yield
        finally:
            _masking.reset(mark)

    def _read_once(self, given: Mapping[str, JSON]) -> M:
        """Thousands of messages go by one channel, one after the other."""
        if self._last is None or self._last[0] is not given:
            self._last = given, self.read(given)
        return self._last[1]

    def told(self, configuration: M) -> Collection[str]:  # noqa: ARG002
        """Parts of secrets that the other side is told by themselves, and may repeat."""
        return ()

    @abstractmethod
    async def _send(self, configuration: M, send: Send) -> SendOutcome: ...

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: float,
        address: str,
    ) -> Answer | Refused | Unknown:
        """`address`: who is to check what if it is wrong."""
        masking, since = _masking.get(), time.perf_counter()
        if masking is not None:
            asked = {"method": method, "url": masking.text(url), "request": _shown(body, masking)}
            log.debug("provider asked", extra=asked)
        try:
            answer = await self._transport.request(method, url, headers, body, timeout=timeout)
        except CallError as error:
            if masking is not None:
                log.debug("provider failed", extra={"category": error.category.value, "reason": error.reason})
            step = Step.TLS if error.tls else Step.CONNECT
            match error.category:
                case Category.UNAVAILABLE:
                    return Refused(Refusal.TEMPORARY, error.reason, hint=error.hint, step=step)
                case Category.MISCONFIGURED:
                    hint = f"{error.hint}: {address}" if error.hint else address
                    return Refused(Refusal.CONFIGURATION, error.reason, hint=hint, step=step)
                case _:
                    return Unknown(error.reason)
        if masking is not None:
            said = {"status": answer.status, "response": _shown(answer.body, masking)}
            log.debug("provider answered", extra=said | {"duration_s": round(time.perf_counter() - since, 4)})
        return answer


def _shown(body: bytes | None, masking: Masking) -> str | None:
    return None if body is None else masking.text(body.decode(errors="replace"))[:_LONGEST_LOGGED]


def words(text: object, *secrets: str | None) -> str:
    """What a provider said, in one line and shortened, secrets out."""
    said = " ".join(str(text).split())
    told = {form for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET for form in forms(secret)}
    for form in sorted(told, key=len, reverse=True):
        said = said.replace(form, "•••")
    said = "".join(character for character in said if character.isprintable())
    return said if len(said) <= _LONGEST_WORDS else f"{said[:_LONGEST_WORDS]}…"


def body_words(answer: Answer, *secrets: str | None) -> str:
    return words(answer.body[: 4 * _LONGEST_WORDS].decode(errors="replace"), *secrets)


def json_object(answer: Answer) -> Mapping[str, Any]:
    """The answer's JSON object; an empty one where it is none."""
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def with_words(reason: str, said: str) -> str:
    return f"{reason}: {said}" if said else reason


def text_of(value: JSON) -> str:
    """A JSON value where a text is wanted: texts as they are, null as nothing."""
    return value if isinstance(value, str) else "" if value is None else str(value)
