"""What goes wrong on request: one fault plan per provider, seeded so that a test repeats exactly.

This module only *decides*; how a decision looks on the wire is the business of the edge that applies it
(`http.py` for HTTP, `yandexgpt/grpc_api.py` for gRPC).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

GRPC_TO_HTTP = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""gRPC status name → HTTP status, as listed in google/rpc/code.proto."""

SMPP_STATUSES = {
    "ESME_RSYSERR": 0x08,
    "ESME_RINVSRCADR": 0x0A,
    "ESME_RINVDSTADR": 0x0B,
    "ESME_RBINDFAIL": 0x0D,
    "ESME_RINVPASWD": 0x0E,
    "ESME_RINVSYSID": 0x0F,
    "ESME_RMSGQFUL": 0x14,
    "ESME_RSUBMITFAIL": 0x45,
    "ESME_RTHROTTLED": 0x58,
    "ESME_RX_T_APPN": 0x64,
    "ESME_RX_P_APPN": 0x65,
    "ESME_RX_R_APPN": 0x66,
}
"""Name → command_status, as in SMPP 3.4, 5.1.3."""

HTTP_KINDS = (
    "status",
    "429",
    "hang",
    "reset",
    "reset_before",
    "truncated",
    "not_json",
    "garbage",
    "empty",
    "wrong_json",
)

ANSWER_IS_LOST = frozenset({"hang", "reset", "truncated", "not_json", "garbage", "empty", "wrong_json"})
"""With these the provider HAS taken the call (an SMS is accepted, a lookup is billed); only the answer goes missing."""

Milliseconds = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]


class Fault(BaseModel):
    """The body of `PUT /control/faults/{provider}`: `latency_ms` slows every call, `kind` hits the share `rate`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    latency_ms: Milliseconds | tuple[Milliseconds, Milliseconds] = 0
    rate: float = Field(default=1, ge=0, le=1, allow_inf_nan=False)
    kind: str | None = None
    status: int | None = Field(default=None, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    times: int | None = Field(default=None, ge=1)
    for_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    operation: str | None = None

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, value: Any) -> Any:
        kind = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(kind, str) and kind not in (*HTTP_KINDS, *GRPC_TO_HTTP, *SMPP_STATUSES):
            raise ValueError(
                f"one of {', '.join(HTTP_KINDS)}, (yandexgpt) a gRPC status name such as UNAVAILABLE, or (smpp) one of "
                f"{', '.join(SMPP_STATUSES)}"
            )
        return kind

    @field_validator("latency_ms")
    @classmethod
    def _ordered(cls, value: float | tuple[float, float]) -> float | tuple[float, float]:
        if isinstance(value, tuple) and value[0] > value[1]:
            raise ValueError("[min, max] with min <= max")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.kind == "status") != (self.status is not None):
            raise ValueError('status: goes together with "kind": "status"')
        if self.retry_after is not None and self.kind not in {"429", "status", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}:
            raise ValueError('retry_after: goes with "kind": "429", "status", "RESOURCE_EXHAUSTED" or "UNAVAILABLE"')
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to happen to one call. `kind` None: it is answered properly (perhaps late)."""

    latency_s: float = 0.0
    kind: str | None = None
    status: int | None = None
    retry_after: int | None = None
    noise: bytes = b""


CLEAN = Verdict()


class Plan:
    """A fault in force. Draws the same numbers for every call, so the n-th call depends on the seed alone."""

    def __init__(self, fault: Fault, clock: Callable[[], float]) -> None:
        self.fault = fault
        self.calls = 0
        self.faulted = 0
        self._clock = clock
        self._until = None if fault.for_seconds is None else clock() + fault.for_seconds
        self._random = random.Random(fault.seed)  # noqa: S311 - repeatable on purpose

    @property
    def active(self) -> bool:
        if self.fault.times is not None and self.calls >= self.fault.times:
            return False
        return self._until is None or self._clock() < self._until

    def decide(self, operation: str) -> Verdict:
        fault = self.fault
        if fault.operation not in (None, operation) or not self.active:
            return CLEAN
        self.calls += 1
        chance, spread, noise = self._random.random(), self._random.random(), self._random.randbytes(48)
        low, high = fault.latency_ms if isinstance(fault.latency_ms, tuple) else (fault.latency_ms, fault.latency_ms)
        latency_s = (low + (high - low) * spread) / 1000
        if fault.kind is None or chance >= fault.rate:
            return Verdict(latency_s)
        self.faulted += 1
        return Verdict(latency_s, fault.kind, fault.status, fault.retry_after, noise)

    def describe(self) -> dict[str, Any]:
        return {
            **self.fault.model_dump(exclude_none=True),
            "active": self.active,
            "calls": self.calls,
            "faulted": self.faulted,
        }


class Faults:
    """The plans of all providers, and the calls that hang because of them."""

    def __init__(self, providers: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._plans: dict[str, Plan | None] = dict.fromkeys(providers)
        self._clock = clock
        self._released = asyncio.Event()

    def decide(self, provider: str, operation: str) -> Verdict:
        plan = self._plans[provider]
        return CLEAN if plan is None else plan.decide(operation)

    def set(self, provider: str, fault: Fault) -> Plan:
        plan = self._plans[provider] = Plan(fault, self._clock)
        return plan

    def clear(self) -> None:
        """Forgets every plan; calls that hang are let go, unanswered."""
        self._plans = dict.fromkeys(self._plans)
        self._released.set()
        self._released = asyncio.Event()

    async def hang(self) -> None:
        """Returns only when the faults are cleared, or the sandbox is stopped."""
        await self._released.wait()

    def describe(self) -> dict[str, Any]:
        return {name: plan and plan.describe() for name, plan in self._plans.items()}
