"""What HttpTransport promises, against a peer that misbehaves in every way: was the request written or not?

Another HTTP client may take aiohttp's place once it passes this.
"""

import asyncio
import gzip
import socket
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from adapters.providers.conftest import Authority
from adapters.providers.peer import Behaviour, Connection, Peer, answer, answering, once
from eventually import own_clock
from gonets.adapters.providers.transport import MAX_ANSWER, Answer, CallError, HttpTransport
from gonets.core.shared.errors import Category

Make = Callable[..., HttpTransport]
SHORT = {"timeout": 0.3, "connect_timeout": 0.3}


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[HttpTransport] = []

    def make(timeout: float = 10, connect_timeout: float = 5) -> HttpTransport:
        made.append(HttpTransport(timeout=timeout, connect_timeout=connect_timeout))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture
def transport(make: Make) -> HttpTransport:
    return make()


async def post(transport: HttpTransport, url: str) -> Answer:
    return await transport.post(url, b'["1"]', {"Authorization": "Token key", "Content-Type": "application/json"})


async def failure(transport: HttpTransport, url: str) -> CallError:
    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(60), own_clock() as clock:
            await post(transport, url)
    assert clock() < 8
    return caught.value


# The request certainly was not written


async def test_refused(transport: HttpTransport) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = await failure(transport, f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert error.category is Category.UNAVAILABLE


async def test_a_name_nobody_knows(make: Make) -> None:
    assert (await failure(make(), "http://nowhere.invalid/")).category is Category.UNAVAILABLE


async def test_a_name_server_that_never_answers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.connector.DefaultResolver, "resolve", hang)
    assert (await failure(make(**SHORT), "http://somewhere.invalid/")).category is Category.UNAVAILABLE


async def test_a_connect_that_hangs(make: Make, full_backlog: int) -> None:
    async with own_clock() as clock:
        error = await failure(make(timeout=5, connect_timeout=0.3), f"http://127.0.0.1:{full_backlog}/")
    assert error.category is Category.UNAVAILABLE
    assert clock() < 3


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28"]
)
async def test_a_tls_handshake_that_fails(transport: HttpTransport, reply: bytes) -> None:
    async def behave(connection: Connection) -> None:
        await connection.send(reply)

    async with Peer(behave) as peer:
        error = await failure(transport, f"https://localhost:{peer.port}/")
    assert error.category is Category.UNAVAILABLE


async def test_a_tls_handshake_that_is_reset(transport: HttpTransport) -> None:
    async def behave(connection: Connection) -> None:
        connection.reset()

    async with Peer(behave) as peer:
        assert (await failure(transport, f"https://localhost:{peer.port}/")).category is Category.UNAVAILABLE


async def test_a_tls_handshake_that_hangs(make: Make) -> None:
    async with Peer(Connection.gone) as peer:
        assert (await failure(make(**SHORT), f"https://localhost:{peer.port}/")).category is Category.UNAVAILABLE


async def test_a_certificate_of_a_stranger(transport: HttpTransport, authority: Authority) -> None:
    async with Peer(answering(answer()), authority.server()) as peer:
        error = await failure(transport, peer.url)
    assert error.category is Category.MISCONFIGURED
    assert "certificate" in error.reason
    assert not peer.requests


@pytest.mark.parametrize(
    "url",
    ["http://", "http://localhost:99999/", "ftp://localhost/", "localhost:80", "", "http://[::1/", "http://:80/"],
)
async def test_an_address_that_is_none(transport: HttpTransport, url: str) -> None:
    assert (await failure(transport, url)).category is Category.MISCONFIGURED


# It was written, or may have been


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a status line"),
        pytest.param(HEAD, id="half the headers"),
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\n[1", id="half a body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n", id="no last chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n[1", id="half a chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n", id="a chunk of no length"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", id="no gzip"),
        pytest.param(b"\x00\xff secret garbage \r\n\r\n", id="garbage"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2 secret\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="a status that is no number"),
        pytest.param(HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", id="a header without end"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", id="a length below zero"),
    ],
)
async def test_no_complete_answer(transport: HttpTransport, reply: bytes, then: str) -> None:
    async with Peer(once(reply, then=then)) as peer:
        error = await failure(transport, peer.url.replace("phone", "secret"))
        assert error.category is Category.OUTCOME_UNKNOWN
        assert "secret" not in error.reason
        assert (len(peer.requests), len(peer.connections)) == (1, 1)


async def test_a_reset_before_the_request_was_read(transport: HttpTransport) -> None:
    async def behave(connection: Connection) -> None:
        connection.reset()

    async with Peer(behave) as peer:
        error = await failure(transport, peer.url)
        assert (error.category, len(peer.connections)) == (Category.OUTCOME_UNKNOWN, 1)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="before the status line"),
        pytest.param(b"HTTP/1.1 20", id="in the status line"),
        pytest.param(HEAD, id="in the headers"),
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\n", id="before the body"),
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\n[", id="in the body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n", id="between chunks"),
    ],
)
async def test_an_answer_that_hangs(make: Make, reply: bytes) -> None:
    began = time.monotonic()
    async with Peer(once(reply, then="wait")) as peer, own_clock() as clock:
        error = await failure(make(timeout=0.5), peer.url)
        assert error.category is Category.OUTCOME_UNKNOWN
        assert time.monotonic() - began > 0.4
        assert clock() < 4
        assert len(peer.requests) == 1


@pytest.mark.parametrize("start", [b"", HEAD + b"Content-Length: 100000\r\n\r\n"])
async def test_an_answer_that_drips_ends_at_the_total_timeout(make: Make, start: bytes) -> None:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(start)
        while True:
            await connection.send(b"H" if not start else b" ")
            await asyncio.sleep(0.05)

    async with Peer(behave) as peer:
        error = await failure(make(timeout=0.5), peer.url)
    assert error.category is Category.OUTCOME_UNKNOWN


# Nothing is sent twice


async def test_connections_are_kept_alive(transport: HttpTransport) -> None:
    async with Peer(answering(answer())) as peer:
        for _ in range(3):
            await post(transport, peer.url)
        assert (len(peer.requests), len(peer.connections)) == (3, 1)


async def test_a_kept_connection_closed_while_we_send(transport: HttpTransport) -> None:
    async with Peer(answering(answer())) as peer:
        await post(transport, peer.url)
        peer.connections[0].cut_at_once()
        error = await failure(transport, peer.url)
        assert error.category is Category.OUTCOME_UNKNOWN
        assert (len(peer.requests), len(peer.connections)) == (1, 1)


@pytest.mark.parametrize("end", [Connection.close, Connection.reset])
async def test_a_kept_connection_closed_on_reading_our_request(
    transport: HttpTransport, end: Callable[[Connection], None]
) -> None:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer())
        await connection.request()
        end(connection)

    async with Peer(behave) as peer:
        await post(transport, peer.url)
        error = await failure(transport, peer.url)
        assert error.category is Category.OUTCOME_UNKNOWN
        assert (len(peer.requests), len(peer.connections)) == (2, 1)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_no_method_is_sent_twice(transport: HttpTransport, method: str) -> None:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer())
        await connection.request()

    async with Peer(behave) as peer:
        await transport.request(method, peer.url, {"Content-Length": "1"}, b"1")
        with pytest.raises(CallError) as caught:
            await transport.request(method, peer.url, {"Content-Length": "1"}, b"1")
        assert caught.value.category is Category.OUTCOME_UNKNOWN
        assert (len(peer.requests), len(peer.connections)) == (2, 1)


async def test_a_call_may_bring_its_own_timeout(transport: HttpTransport) -> None:
    async with Peer(once(b"", then="wait")) as peer, own_clock() as clock:
        with pytest.raises(CallError) as caught:
            await transport.request("PUT", peer.url, {}, b"1", timeout=0.3)
    assert caught.value.category is Category.OUTCOME_UNKNOWN
    assert clock() < 3


async def test_a_kept_connection_closed_long_ago_is_not_used(transport: HttpTransport) -> None:
    async with Peer(once(answer())) as peer:
        await post(transport, peer.url)
        while True:  # until the client has seen the end, which is what makes it open another
            connector = transport._session and transport._session.connector
            assert connector is not None
            if not any(protocol.is_connected() for queue in connector._conns.values() for protocol, _ in queue):
                break
            await asyncio.sleep(0)
        await post(transport, peer.url)
        assert (len(peer.requests), len(peer.connections)) == (2, 2)


async def test_a_broken_connection_is_not_used_again(transport: HttpTransport) -> None:
    replies = iter([HEAD + b"Content-Length: 4\r\n\r\n[1]", answer(b"[2]")])

    async def behave(connection: Connection) -> None:
        while await connection.request():
            await connection.send(next(replies))
            if len(peer.requests) == 1:
                return

    async with Peer(behave) as peer:
        await failure(transport, peer.url)
        assert (await post(transport, peer.url)).body == b"[2]"


async def test_two_hundred_at_one_time(transport: HttpTransport) -> None:
    async with Peer(answering(answer(b'{"a":1}'))) as peer:
        for _ in range(3):
            answers = await asyncio.gather(*(post(transport, peer.url) for _ in range(200)))
            assert {answer.body for answer in answers} == {b'{"a":1}'}
        assert len(peer.requests) == 600
        assert len(peer.connections) <= 200


async def test_a_call_can_be_cancelled(transport: HttpTransport) -> None:
    left = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.request()
        if len(peer.requests) > 1:
            await connection.send(answer())
        asked.set()
        await connection.gone()
        left.set()

    asked = asyncio.Event()
    async with Peer(behave) as peer:
        call = asyncio.ensure_future(post(transport, peer.url))
        await asyncio.wait_for(asked.wait(), 30)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(left.wait(), 30)
        await post(transport, peer.url)
        assert len(peer.requests) == 2


# What a complete answer is


async def test_the_request_as_it_is_written(transport: HttpTransport) -> None:
    async with Peer(answering(answer())) as peer:
        url = f"http://localhost:{peer.port}/a%2Fb/c%20d;e?q=%D1%8F&k=1+2#part"
        await transport.post(url, "я".encode(), {"X-Secret": "s"})
        head, body = peer.requests[0]
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /a%2Fb/c%20d;e?q=%D1%8F&k=1+2 HTTP/1.1"
    assert {"X-Secret: s", "Content-Length: 2", f"Host: localhost:{peer.port}"} <= set(lines)
    assert body == "я".encode()


@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "302 Found", "307 Temporary Redirect", "503 No", "599 "]
)
async def test_every_status_is_an_answer_and_no_redirect_is_followed(transport: HttpTransport, status: str) -> None:
    body = b"" if status.startswith("204") else b"{}"
    async with Peer(answering(answer(body, "Location: /elsewhere", status=status))) as peer:
        got = await post(transport, peer.url)
        assert (got.status, got.body, got.headers["location"]) == (int(status[:3]), body, "/elsewhere")
        assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(HEAD + b"Connection: close\r\n\r\n[1]", id="ended by closing"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2\r\n1]\r\n0\r\n\r\n", id="chunked"),
        pytest.param(answer(gzip.compress(b"[1]"), "Content-Encoding: gzip"), id="gzip"),
        pytest.param(answer(zlib.compress(b"[1]"), "Content-Encoding: deflate"), id="deflate"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"[1]"), id="after 100 Continue"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n[1]", id="HTTP/1.0"),
    ],
)
async def test_forms_of_an_answer(transport: HttpTransport, reply: bytes) -> None:
    async with Peer(once(reply)) as peer:
        assert (await post(transport, peer.url)).json() == [1]


async def test_an_answer_in_small_pieces(transport: HttpTransport) -> None:
    async def behave(connection: Connection) -> None:
        await connection.request()
        for byte in answer(b'["\xd1\x8f"]'):
            await connection.send(bytes([byte]))
            await asyncio.sleep(0)

    async with Peer(behave) as peer:
        assert (await post(transport, peer.url)).json() == ["я"]


@pytest.mark.parametrize("length", [MAX_ANSWER, MAX_ANSWER + 1])
async def test_the_longest_answer(transport: HttpTransport, length: int) -> None:
    async with Peer(answering(answer(b" " * length))) as peer:
        if length <= MAX_ANSWER:
            assert len((await post(transport, peer.url)).body) == length
        else:
            error = await failure(transport, peer.url)
            assert error.category is Category.OUTCOME_UNKNOWN
            assert "longer" in error.reason


def _endless(size: int) -> Behaviour:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD + b"\r\n")
        for _ in range(size // 65536):
            await connection.send(b" " * 65536)

    return behave


async def test_an_answer_without_end(transport: HttpTransport) -> None:
    async with Peer(_endless(10**12)) as peer:
        assert (await failure(transport, peer.url)).category is Category.OUTCOME_UNKNOWN


async def test_a_bomb_is_not_unpacked(transport: HttpTransport) -> None:
    bomb = gzip.compress(bytes(256 * 2**20), compresslevel=1)
    async with Peer(answering(answer(bomb, "Content-Encoding: gzip"))) as peer:
        tracemalloc.start()
        try:
            error = await failure(transport, peer.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.category is Category.OUTCOME_UNKNOWN
    assert peak < 12 * MAX_ANSWER


async def test_no_proxy_of_the_environment_is_used(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with Peer(answering(answer())) as peer:
        assert (await post(transport, peer.url)).status == 200


async def test_no_cookie_is_kept(transport: HttpTransport) -> None:
    async with Peer(answering(answer(b"[]", "Set-Cookie: a=1; Path=/"))) as peer:
        await post(transport, peer.url)
        await post(transport, peer.url)
        assert b"cookie" not in peer.requests[1][0].lower()


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1",
        b"[1] [2]",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 5000 + b"]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'["\xff"]',
        '["я"]'.encode("cp1251"),
        '["я"]'.encode("utf-16"),
        b"['a']",
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Answer(200, {}, body).json()


def test_json_is_left_as_it_is() -> None:
    text = '\ufeff{"б": null, "а": ["\\u0000", "\\ud800", 1.5, 12345678901234567890, true, {}], "": "\\"😀"}'
    value = Answer(200, {}, text.encode()).json()
    assert list(value.items()) == [
        ("б", None),
        ("а", ["\0", "\ud800", 1.5, 12345678901234567890, True, {}]),
        ("", '"😀'),
    ]
