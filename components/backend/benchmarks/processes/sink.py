"""A provider that costs next to nothing: takes what Twilio takes, counts it by notification, and may report and fail.

    python -m benchmarks.processes.sink PORT [--report-to HOST:PORT --token TOKEN] [--refuse 0.05] [--undelivered 0.2]

`GET /counts` answers with what was taken; `GET /taken`, `/delivered` and `/blind` with a byte for each notification, by
its id: how many times. Reports are signed as Twilio signs them; one that is not answered with 204 is repeated, and says
the same. It can be asked for the messages to a number, as Twilio can.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from array import array
from collections import deque
from email.utils import formatdate
from functools import partial
from typing import NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import uvloop

_MARK = b"/twilio/"
_LENGTH = b"content-length: "
_REFUSED = b'{"code": 20429, "message": "Too Many Requests", "status": 429}'
_STATUS = ("undelivered", "delivered")
_UNREACHED = 30003
_CALLERS = 32
_AGAIN = 0.2
"""Seconds until a report is brought again."""
_SEED = 20261121


class Report(NamedTuple):
    """What became of the message at this place of the journal."""

    url: str
    place: int
    good: bool


class Journal:
    """The messages that were taken, one after the other; each knows the one before it to the same number."""

    def __init__(self) -> None:
        self._last: array[int] = array("I")
        self._before: array[int] = array("I", [0])
        self._at: array[float] = array("d", [0.0])
        self._good: array[int] = array("B", [0])
        self._told: array[int] = array("B", [0])
        self._form = b""

    def add(self, form: bytes, good: bool) -> tuple[int, bool]:
        """Its place; and whether there is one before it of which nobody was told that it was in vain."""
        to = _number(form[form.find(b"To=") + 3 :].partition(b"&")[0].decode())
        _reach(self._last, to)
        before, place = self._last[to], len(self._at)
        self._last[to] = place
        self._before.append(before)
        self._at.append(time.time())
        self._good.append(good)
        self._told.append(0)
        self._form = form
        return place, bool(before) and not (self._told[before] and not self._good[before])

    def tell(self, place: int) -> None:
        self._told[place] = 1

    def to(self, number: str) -> list[dict[str, str | int | None]]:
        """As Twilio lists them, the latest first. All are alike but for their numbers."""
        form, to = parse_qs(self._form.decode()), _number(number)
        place = self._last[to] if to < len(self._last) else 0
        found: list[dict[str, str | int | None]] = []
        while place:
            self.tell(place)
            good = self._good[place]
            found.append(
                {
                    "sid": _sid(place),
                    "status": _STATUS[good],
                    "error_code": None if good else _UNREACHED,
                    "date_created": formatdate(self._at[place], usegmt=True),
                    "from": form["From"][0],
                    "to": number,
                    "body": form["Body"][0],
                }
            )
            place = self._before[place]
        return found


def _sid(place: int) -> str:
    return f"SM{place:032d}"


def _number(phone: str) -> int:
    """The last nine digits."""
    return int(phone[-9:])


def _reach(counts: "array[int]", number: int) -> None:
    """Has a place for this number."""
    while number >= len(counts):
        counts.frombytes(bytes(max(1 << 20, len(counts) * counts.itemsize)))


class Provider:
    """What was taken, and what is to be reported. By the notifications' ids: how many times each was `taken`, and
    `delivered`; and `blind`: taken although it had been before, and nobody had been told that this was in vain."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.refuse: float = options.refuse
        self.undelivered: float = options.undelivered
        self.report_to: str | None = options.report_to
        self.callers = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.token: bytes = options.token.encode()
        self.chance = random.Random(_SEED)
        self.calls = self.refused = self.reported = self.repeated = self.asked = 0
        self.taken: array[int] = array("B")
        self.delivered: array[int] = array("B")
        self.blind: array[int] = array("B")
        self.journal = Journal()
        self.to_report: deque[Report] = deque()
        self.idle: list[_Caller] = []

    def take(self, body: bytes) -> tuple[bytes, bytes]:
        """Status line and body of the answer."""
        self.calls += 1
        if self.refuse and self.chance.random() < self.refuse:
            self.refused += 1
            return b"429 Too Many Requests", _REFUSED
        sid = _sid(self.calls)
        start = body.find(_MARK)
        if start >= 0:
            end = body.find(b"&", start)
            reference = body[start + len(_MARK) : end if end >= 0 else len(body)]
            number = int(reference.partition(b"-")[0])
            for counts in (self.taken, self.delivered, self.blind):
                _reach(counts, number)
            _count(self.taken, number)
            if self.report_to is not None:
                good = self.chance.random() >= self.undelivered
                place, blind = self.journal.add(body, good)
                sid = _sid(place)
                if good:
                    _count(self.delivered, number)
                if blind:
                    _count(self.blind, number)
                start = body.find(b"StatusCallback=") + len(b"StatusCallback=")
                url = unquote(body[start : end if end >= 0 else len(body)].decode())
                self.report(Report(url, place, good))
        return b"201 Created", b'{"sid": "%s", "status": "queued", "num_segments": "1"}' % sid.encode()

    def asked_for(self, target: str) -> bytes:
        """What a GET is answered with."""
        url = urlsplit(target)
        match url.path.rpartition("/")[2]:
            case "taken":
                return self.taken.tobytes()
            case "delivered":
                return self.delivered.tobytes()
            case "blind":
                return self.blind.tobytes()
            case "Messages.json":
                self.asked += 1
                return json.dumps({"messages": self.journal.to(parse_qs(url.query)["To"][0])}).encode()
        return json.dumps(self.counts).encode()

    def report(self, report: Report) -> None:
        self.to_report.append(report)
        if self.idle:
            self.idle.pop().next()
        elif self.callers < _CALLERS:
            self.callers += 1
            task = asyncio.get_running_loop().create_task(self.connect())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def connect(self) -> None:
        """Whoever takes the reports may be away for a while."""
        assert self.report_to is not None
        host, _, port = self.report_to.partition(":")
        caller = partial(_Caller, self, self.report_to)
        while True:
            try:
                await asyncio.get_running_loop().create_connection(caller, host, int(port))
            except OSError:
                await asyncio.sleep(_AGAIN)
            else:
                return

    @property
    def counts(self) -> dict[str, int]:
        return {
            "calls": self.calls,
            "refused": self.refused,
            "taken": sum(self.taken),
            "notifications": sum(count > 0 for count in self.taken),
            "delivered": sum(count > 0 for count in self.delivered),
            "delivered_twice": sum(count > 1 for count in self.delivered),
            "sent_twice": sum(self.blind),
            "reported": self.reported,
            "repeated": self.repeated,
            "asked": self.asked,
            "to_report": len(self.to_report) + self.callers - len(self.idle),
        }


def _count(counts: "array[int]", number: int) -> None:
    counts[number] = min(counts[number] + 1, 255)


class _Server(asyncio.Protocol):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._data = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            line = self._data[: self._data.find(b"\r\n")]
            head = self._data[:end].lower()
            place = head.find(_LENGTH)
            length = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            if head.startswith(b"post"):
                status, answer = self._provider.take(body)
            else:
                status, answer = b"200 OK", self._provider.asked_for(line.split(b" ")[1].decode())
            self._transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(answer), answer)
            )


class _Caller(asyncio.Protocol):
    """A connection to the API that reports one thing after another."""

    def __init__(self, provider: Provider, host: str) -> None:
        self._provider = provider
        self._host = host
        self._data = b""
        self._job: Report | None = None
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        provider = self._provider
        provider.callers -= 1
        if self in provider.idle:
            provider.idle.remove(self)
        elif self._job is not None:
            provider.report(self._job)

    def next(self) -> None:
        provider = self._provider
        if not provider.to_report:
            self._job = None
            provider.idle.append(self)
            return
        self._job = provider.to_report.popleft()
        self._post()

    def _post(self) -> None:
        if self._job is None or self._transport.is_closing():
            return
        url, place, good = self._job
        # Whether it is heard nobody knows before the answer comes: from now on it may be.
        self._provider.journal.tell(place)
        fields = {"MessageSid": _sid(place), "MessageStatus": _STATUS[good]}
        if not good:
            fields["ErrorCode"] = str(_UNREACHED)
        signed = url + "".join(name + fields[name] for name in sorted(fields))
        signature = base64.b64encode(hmac.new(self._provider.token, signed.encode(), hashlib.sha1).digest())
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
        path = url.partition(self._host)[2]
        self._transport.write(
            b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"X-Twilio-Signature: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), self._host.encode(), signature, len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        place = head.find(_LENGTH)
        length = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self._data) < end + 4 + length:
            return
        self._data = self._data[end + 4 + length :]
        if head[9:12] != b"204":
            self._provider.repeated += 1
            asyncio.get_running_loop().call_later(_AGAIN, self._post)
            return
        self._provider.reported += 1
        self.next()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--report-to", metavar="HOST:PORT")
    parser.add_argument("--token", default="")
    parser.add_argument("--refuse", type=float, default=0)
    parser.add_argument("--undelivered", type=float, default=0)
    options = parser.parse_args()
    provider, loop = Provider(options), asyncio.get_running_loop()
    server = await loop.create_server(partial(_Server, provider), "127.0.0.1", options.port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
