"""A provider that costs next to nothing: takes what Twilio takes, counts it by notification, and may report and fail.

    python -m benchmarks.processes.sink PORT [--report-to HOST:PORT --token TOKEN] [--refuse 0.05] [--undelivered 0.2]

`GET /counts` answers with what was taken. Reports are signed as Twilio signs them; one that is not answered with 204
is repeated.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import random
from array import array
from collections import deque
from functools import partial
from typing import cast
from urllib.parse import unquote

import uvloop

_MARK = b"/twilio/"
_LENGTH = b"content-length: "
_REFUSED = b'{"code": 20429, "message": "Too Many Requests", "status": 429}'
_CALLERS = 32
_SEED = 20261121


class Provider:
    """What was taken, and what is to be reported. `taken`: how many times each notification was, by its id."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.refuse: float = options.refuse
        self.undelivered: float = options.undelivered
        self.report_to: str | None = options.report_to
        self.callers = 0
        self.task: asyncio.Task[None] | None = None
        self.token: bytes = options.token.encode()
        self.chance = random.Random(_SEED)
        self.calls = self.refused = self.reported = self.repeated = 0
        self.taken = array("B", bytes(1 << 20))
        self.delivered = array("B", bytes(1 << 20))
        self.to_report: deque[tuple[str, int, str]] = deque()
        self.idle: list[_Caller] = []

    def take(self, body: bytes) -> tuple[bytes, bytes]:
        """Status line and body of the answer."""
        self.calls += 1
        if self.refuse and self.chance.random() < self.refuse:
            self.refused += 1
            return b"429 Too Many Requests", _REFUSED
        sid = b"SM%032d" % self.calls
        place = body.find(_MARK)
        if place >= 0:
            end = body.find(b"&", place)
            reference = body[place + len(_MARK) : end if end >= 0 else len(body)]
            number = int(reference.partition(b"-")[0])
            while number >= len(self.taken):
                self.taken.frombytes(bytes(len(self.taken)))
                self.delivered.frombytes(bytes(len(self.delivered)))
            self.taken[number] = min(self.taken[number] + 1, 255)
            if self.report_to is not None:
                start = body.find(b"StatusCallback=") + len(b"StatusCallback=")
                url = unquote(body[start : end if end >= 0 else len(body)].decode())
                self.report(url, number, sid.decode())
        return b"201 Created", b'{"sid": "%s", "status": "queued", "num_segments": "1"}' % sid

    def report(self, url: str, number: int, sid: str) -> None:
        self.to_report.append((url, number, sid))
        if self.idle:
            self.idle.pop().next()
        elif self.callers < _CALLERS:
            self.callers += 1
            self.task = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        assert self.report_to is not None
        host, _, port = self.report_to.partition(":")
        await asyncio.get_running_loop().create_connection(partial(_Caller, self, self.report_to), host, int(port))

    @property
    def counts(self) -> dict[str, int]:
        return {
            "calls": self.calls,
            "refused": self.refused,
            "taken": sum(self.taken),
            "notifications": sum(count > 0 for count in self.taken),
            "delivered": sum(count > 0 for count in self.delivered),
            "delivered_twice": sum(count > 1 for count in self.delivered),
            "reported": self.reported,
            "repeated": self.repeated,
            "to_report": len(self.to_report) + self.callers - len(self.idle),
        }


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
            head = self._data[:end].lower()
            place = head.find(_LENGTH)
            length = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            if head.startswith(b"post"):
                status, answer = self._provider.take(body)
            else:
                status, answer = b"200 OK", json.dumps(self._provider.counts).encode()
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
        self._job: tuple[str, int, str] | None = None
        self._status = ""
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
            provider.report(*self._job)

    def next(self) -> None:
        provider = self._provider
        if not provider.to_report:
            self._job = None
            provider.idle.append(self)
            return
        self._job = provider.to_report.popleft()
        bad = provider.undelivered and provider.chance.random() < provider.undelivered
        self._status = "undelivered" if bad else "delivered"
        self._post()

    def _post(self) -> None:
        assert self._job is not None
        url, _, sid = self._job
        fields = {"MessageSid": sid, "MessageStatus": self._status}
        if self._status == "undelivered":
            fields["ErrorCode"] = "30003"
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
            asyncio.get_running_loop().call_later(0.2, self._post)
            return
        self._provider.reported += 1
        if self._status == "delivered" and self._job is not None:
            number = self._job[1]
            self._provider.delivered[number] = min(self._provider.delivered[number] + 1, 255)
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
