"""What the providers played here have in common. A new one is a subclass, mostly of HttpProvider, and a row in
`registry.py`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from sandbox.faults import Faults
from sandbox.inbox import Inbox
from sandbox.journal import Journal

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer before it meets its fault."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return self.status < 400


@dataclass(frozen=True, slots=True)
class Desk:
    """What the providers share: who decides on faults, who writes down the calls, and where messages end."""

    faults: Faults
    journal: Journal
    inbox: Inbox


class Provider(Generic[S]):
    """One provider, whatever it speaks: its switches (`Settings`) and its documented inputs."""

    name: ClassVar[str]
    title: ClassVar[str]
    address: ClassVar[str]
    operations: ClassVar[Sequence[str]]
    inputs: ClassVar[Sequence[tuple[str, str]]] = ()
    speaks_grpc: ClassVar[bool] = False
    speaks_smpp: ClassVar[bool] = False

    def __init__(self, desk: Desk, defaults: S) -> None:
        self.desk = desk
        self.settings: S = defaults
        self._defaults = defaults

    def grpc_handlers(self) -> Sequence[Any]:
        """Generic gRPC handlers to register; none for a provider which speaks HTTP only."""
        return ()

    def configure(self, body: Any) -> None:
        """Replaces the switches; what is not named goes back to its default. Raises pydantic.ValidationError."""
        self.settings = type(self._defaults).model_validate({} if body is None else body)

    def reset(self) -> None:
        self.settings = self._defaults

    def reply(self, sender: str, text: str) -> bool:  # noqa: ARG002
        """A person with this number writes to whoever wrote to them. False: the provider brings no such messages, or
        does not know where to."""
        return False

    async def stop(self) -> None:
        """Ends what it does by itself: callbacks under way, listeners of its own."""


class HttpProvider(Provider[S], ABC):
    """One that is asked over HTTP: its routes, and its own error format."""

    @abstractmethod
    def routes(self) -> Sequence[web.RouteDef]: ...

    @abstractmethod
    def error(self, status: int, message: str = "") -> Answer:
        """An error in the provider's own words, also used for the faults "status" and "429"."""

    def admit(self, request: web.Request) -> Answer | None:  # noqa: ARG002
        """The refusal where a limit is reached; None lets the call in, and `leave` is called when it ends."""
        return None

    def leave(self) -> None:
        """The call let in has ended."""


def to_json(value: Any) -> bytes:
    """UTF-8, Cyrillic unescaped. What UTF-8 cannot carry (a lone surrogate) leaves as the escape it came in as."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
