"""YandexGPT through Yandex's SDK: every gRPC status, every end a call can come to, and what is sent and kept."""

import asyncio
import logging
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from yandex.cloud.ai.foundation_models.v1 import text_common_pb2 as common
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2_grpc as stubs
from yandex.cloud.endpoint import api_endpoint_pb2, api_endpoint_service_pb2, api_endpoint_service_pb2_grpc

from adapters.providers.conftest import KEY, Authority, Remote, free_port, gpt
from adapters.providers.peer import Connection, Peer, answer, answering
from eventually import eventually, own_clock
from gonets.adapters.providers import yandexgpt
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError
from proxy import Proxy

Reply = Callable[[generation.CompletionRequest, Any], AsyncIterator[generation.CompletionResponse]]
FINAL = common.Alternative.ALTERNATIVE_STATUS_FINAL


def completion(text: str = "Привет.", status: int = FINAL, **message: Any) -> generation.CompletionResponse:
    alternative = common.Alternative(message=common.Message(role="assistant", text=text, **message), status=status)
    usage = common.ContentUsage(input_text_tokens=7, completion_tokens=5, total_tokens=12)
    return generation.CompletionResponse(alternatives=[alternative], usage=usage, model_version="09.02.2025")


async def _greet(_request: Any, _context: Any) -> AsyncIterator[generation.CompletionResponse]:
    yield completion()


class StandIn(stubs.TextGenerationServiceServicer):
    """Only the completion service, on a free port; what it was asked is in `requests` and `metadata`."""

    def __init__(self, reply: Reply = _greet, credentials: Any = None, port: int = 0) -> None:
        self._reply = reply
        self._credentials = credentials
        self._port = port
        self.requests: list[generation.CompletionRequest] = []
        self.metadata: list[dict[str, str]] = []

    async def Completion(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        async for message in self._reply(request, context):
            yield message

    async def __aenter__(self) -> "StandIn":
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        stubs.add_TextGenerationServiceServicer_to_server(self, self._server)
        where = f"localhost:{self._port}"
        if self._credentials:
            port = self._server.add_secure_port(where, self._credentials)
        else:
            port = self._server.add_insecure_port(where)
        self.address = f"localhost:{port}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(grace=0)


async def failure(provider: yandexgpt.YandexGPT, data: str = "превет") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with asyncio.timeout(60), own_clock() as clock:
            await provider.ask(data)
    assert clock() < 15
    return caught.value


# Statuses


STATUSES = {
    Category.REFUSED: "INVALID_ARGUMENT ALREADY_EXISTS FAILED_PRECONDITION OUT_OF_RANGE",
    Category.MISCONFIGURED: "NOT_FOUND PERMISSION_DENIED UNIMPLEMENTED UNAUTHENTICATED",
    Category.QUOTA_EXHAUSTED: "RESOURCE_EXHAUSTED",
    Category.UNAVAILABLE: "UNAVAILABLE INTERNAL ABORTED",
    Category.OUTCOME_UNKNOWN: "CANCELLED UNKNOWN DEADLINE_EXCEEDED DATA_LOSS",
}


def test_no_status_is_forgotten() -> None:
    named = {name for names in STATUSES.values() for name in names.split()}
    assert named == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize(
    ("name", "category"), [(name, category) for category, names in STATUSES.items() for name in names.split()]
)
async def test_every_status_has_its_category(sandbox: Remote, name: str, category: Category) -> None:
    await sandbox.fault("yandexgpt", kind=name)
    error = await failure(gpt(sandbox.grpc_address))
    assert (error.category, error.retry_after) == (category, None)
    assert error.reason.endswith(f"({name})")
    assert [entry["status"] for entry in await sandbox.journal()] == [name]


def _trailer(seconds: float) -> bytes:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMicroseconds(int(seconds * 1e6))
    status = status_pb2.Status(code=8)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="x"))
    status.details.add().Pack(info)
    return status.SerializeToString()


@pytest.mark.parametrize(
    ("trailer", "seconds"),
    [
        (_trailer(7.5), 7.5),
        (_trailer(0), 0),
        (_trailer(-3), 0),
        (_trailer(10**9), 10**9),
        (b"\xff\xff", None),
        (status_pb2.Status(code=8).SerializeToString(), None),
        (b"", None),
    ],
)
async def test_how_long_to_wait_is_read_from_the_trailer(trailer: bytes, seconds: float | None) -> None:
    async def refuse(_request: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "x", (("grpc-status-details-bin", trailer), ("other-bin", b"1"))
        )
        yield

    async with StandIn(refuse) as server:
        error = await failure(gpt(server.address))
    assert (error.category, error.retry_after) == (Category.QUOTA_EXHAUSTED, seconds)


# The request certainly was not written


async def test_refused() -> None:
    error = await failure(gpt("127.0.0.1:1"))
    assert error.category is Category.UNAVAILABLE
    assert "127.0.0.1:1" in error.reason


async def test_a_name_nobody_knows() -> None:
    assert (await failure(gpt("nowhere.invalid:443"))).category is Category.UNAVAILABLE


async def test_a_peer_that_closes_at_once() -> None:
    async def behave(_: Connection) -> None: ...

    async with Peer(behave) as peer:
        assert (await failure(gpt(f"127.0.0.1:{peer.port}"))).category is Category.UNAVAILABLE


async def test_a_peer_that_speaks_http_1(sandbox: Remote) -> None:
    async def behave(connection: Connection) -> None:
        await connection.send(answer(status="404 Not Found"))

    async with Peer(behave) as peer:
        assert (await failure(gpt(f"127.0.0.1:{peer.port}"))).category is Category.UNAVAILABLE


async def test_tls_where_there_is_none() -> None:
    async with StandIn() as server:
        assert (await failure(gpt(server.address, insecure=False))).category is Category.UNAVAILABLE
        assert not server.requests


# It was written, or may have been


def _frame(kind: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + struct.pack(">I", stream) + payload


RST_STREAM, SETTINGS, GOAWAY = 3, 4, 7


def _after_the_request(reply: bytes, *, reset: bool = False) -> Callable[[Connection], Awaitable[None]]:
    async def behave(connection: Connection) -> None:
        await connection.send(_frame(SETTINGS, 0, b""))
        await connection.received(b"\xd0\xbf\xd1\x80\xd0\xb5\xd0\xb2\xd0\xb5\xd1\x82")  # превет
        await connection.send(reply)
        if reset:
            connection.reset()

    return behave


@pytest.mark.parametrize(
    "reply",
    [b"", _frame(GOAWAY, 0, struct.pack(">II", 1, 0)), b"garbage" * 10]
    + [_frame(RST_STREAM, 1, struct.pack(">I", code)) for code in (0, 1, 2, 3, 7, 8, 11, 12)],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_lost_during_the_call(reply: bytes, reset: bool) -> None:
    async with Peer(_after_the_request(reply, reset=reset)) as peer:
        error = await failure(gpt(f"127.0.0.1:{peer.port}"))
    assert error.category is Category.OUTCOME_UNKNOWN


async def test_a_peer_that_never_answers() -> None:
    async with Peer(Connection.gone) as peer, own_clock() as clock:
        error = await failure(gpt(f"127.0.0.1:{peer.port}", timeout=0.3))
        assert clock() < 3
    assert error.category is Category.OUTCOME_UNKNOWN


async def test_a_server_that_never_answers() -> None:
    async with StandIn(Gate()) as server:
        error = await failure(gpt(server.address, timeout=0.3))
    assert error.category is Category.OUTCOME_UNKNOWN
    assert "in time" in error.reason


async def test_a_network_that_swallows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection gone dead is given up long before the call's timeout, and the next call opens another."""
    hasty = {"grpc.keepalive_time_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    monkeypatch.setattr(yandexgpt, "_CHANNEL", [(name, hasty.get(name, value)) for name, value in yandexgpt._CHANNEL])
    async with StandIn() as server, Proxy("localhost", int(server.address.rpartition(":")[2])) as proxy:
        provider = gpt(f"127.0.0.1:{proxy.port}", timeout=60)
        await provider.ask("1")
        proxy.freeze()
        assert (await failure(provider)).category is Category.OUTCOME_UNKNOWN
        proxy.thaw()
        await eventually(lambda: answers(provider), "a new connection")


async def test_an_answer_that_is_too_long() -> None:
    async def talk(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield completion("я" * 3_000_000)

    async with StandIn(talk) as server:
        assert (await failure(gpt(server.address))).category is Category.OUTCOME_UNKNOWN


@pytest.mark.parametrize("messages", [[], [generation.CompletionResponse()]])
async def test_an_answer_with_nothing_in_it(messages: list[Any]) -> None:
    async def silence(_request: Any, _context: Any) -> AsyncIterator[Any]:
        for message in messages:
            yield message

    async with StandIn(silence) as server:
        assert (await failure(gpt(server.address))).category is Category.OUTCOME_UNKNOWN


async def test_a_lone_surrogate_raises_nothing_else(sandbox: Remote) -> None:
    await failure(gpt(sandbox.grpc_address), "a\ud800b")


# What is asked


async def test_the_settings_arrive() -> None:
    async with StandIn() as server:
        provider = gpt(
            server.address,
            folder_id="b1gfolder",
            model="yandexgpt-lite",
            system_prompt="Найди ошибки",
            temperature=0.75,
            max_tokens=321,
        )
        await provider.ask("превет")
        (request,), (metadata,) = server.requests, server.metadata
    assert request.model_uri == "gpt://b1gfolder/yandexgpt-lite/latest"
    assert request.completion_options.temperature.value == 0.75
    assert request.completion_options.max_tokens.value == 321
    assert request.completion_options.stream is False
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Найди ошибки"),
        ("user", "превет"),
    ]
    assert metadata["authorization"] == f"Api-Key {KEY}"
    assert metadata["x-client-request-id"] != metadata["idempotency-key"] != ""


async def test_a_model_given_by_its_full_address() -> None:
    async with StandIn() as server:
        await gpt(server.address, model="gpt://b1gother/yandexgpt/rc").ask("1")
        assert server.requests[0].model_uri == "gpt://b1gother/yandexgpt/rc"


@pytest.mark.parametrize(("temperature", "max_tokens"), [(0.0, 1), (1.0, 10**6)])
async def test_settings_at_their_limits(temperature: float, max_tokens: int) -> None:
    async with StandIn() as server:
        await gpt(server.address, temperature=temperature, max_tokens=max_tokens).ask("1")
        options = server.requests[0].completion_options
    assert options.HasField("temperature")
    assert (options.temperature.value, options.max_tokens.value) == (temperature, max_tokens)


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"api_key": "AQVN1", "iam_token": ""}, "Api-Key AQVN1"),
        ({"api_key": "", "iam_token": "t1.abc"}, "Bearer t1.abc"),
        ({"api_key": "AQVN1", "iam_token": "t1.abc"}, "Api-Key AQVN1"),
    ],
)
async def test_both_kinds_of_key(keys: Mapping[str, str], header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YC_API_KEY", "YC_IAM_TOKEN", "YC_TOKEN", "YC_OAUTH_TOKEN"):
        monkeypatch.setenv(name, "of-the-environment")
    async with StandIn() as server:
        await gpt(server.address, **keys).ask("1")
        assert server.metadata[0]["authorization"] == header


@pytest.mark.parametrize("data", ["я" * 10_000, "😀" * 10_000, "\"'\\\n\r\t\x1b", "a\u2028b\u0301"])
async def test_any_text_arrives_as_it_is(data: str) -> None:
    async with StandIn() as server:
        await gpt(server.address).ask(data)
        assert server.requests[0].messages[1].text == data


# What is kept


async def test_a_whole_answer() -> None:
    function = common.FunctionCall(name="look_up")
    function.arguments.update({"word": "корова", "deep": [None, {"n": 1.5}]})
    usage = common.ContentUsage(
        input_text_tokens=7,
        completion_tokens=5,
        total_tokens=12,
        completion_tokens_details=common.ContentUsage.CompletionTokensDetails(reasoning_tokens=3),
    )
    tools = common.ToolCallList(tool_calls=[common.ToolCall(function_call=function)])
    alternatives = [
        common.Alternative(message=common.Message(role="assistant", text="Привет\0 \n😀"), status=FINAL),
        common.Alternative(message=common.Message(role="assistant", tool_call_list=tools), status=5),
        common.Alternative(message=common.Message(role="assistant", text="?"), status=77),
    ]

    async def reply(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield generation.CompletionResponse(alternatives=alternatives, usage=usage, model_version="09.02.2025")

    async with StandIn(reply) as server:
        got = await gpt(server.address).ask("1")
    first = {"role": "assistant", "text": "Привет\0 \n😀", "status": "FINAL", "tool_calls": []}
    called = [{"name": "look_up", "arguments": {"word": "корова", "deep": [None, {"n": 1.5}]}}]
    assert got == {
        **first,
        "alternatives": [
            first,
            {"role": "assistant", "text": "", "status": "TOOL_CALLS", "tool_calls": called},
            {"role": "assistant", "text": "?", "status": "UNKNOWN", "tool_calls": []},
        ],
        "usage": {"input_text_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "reasoning_tokens": 3},
        "model_version": "09.02.2025",
    }


@pytest.mark.parametrize(
    ("text", "status", "answer_text"),
    [
        ("превет,  карова", "FINAL", "Привет, корова."),
        ("один два три четыре [truncated]", "TRUNCATED_FINAL", "Один два три"),
        ("[filter]", "CONTENT_FILTER", "Я не могу обсуждать эту тему. Давайте поговорим о чём-нибудь ещё."),
        ("[empty]", "FINAL", ""),
        ("[tools]", "TOOL_CALLS", ""),
        ("[no-alternatives]", None, None),
    ],
)
async def test_the_models_own_endings_are_answers(
    sandbox: Remote, text: str, status: str | None, answer_text: str | None
) -> None:
    got: Any = await gpt(sandbox.grpc_address).ask(text)
    assert (got["status"], got["text"], len(got["alternatives"])) == (status, answer_text, 0 if status is None else 1)
    assert got["usage"]["total_tokens"] > 0


async def test_of_a_stream_the_last_message_counts() -> None:
    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield completion("При", common.Alternative.ALTERNATIVE_STATUS_PARTIAL)
        yield completion("Привет.")

    async with StandIn(stream) as server:
        got: Any = await gpt(server.address).ask("1")
    assert (got["text"], got["status"]) == ("Привет.", "FINAL")


# How many at one time


class Gate:
    """Holds every call until it is opened; `most` is the largest number it held."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.now = self.most = 0

    async def __call__(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.opened.wait()
            yield completion()
        finally:
            self.now -= 1


async def test_a_call_given_up_is_given_up_at_the_server_too() -> None:
    gate = Gate()
    async with StandIn(gate) as server:
        provider = gpt(server.address)
        for _ in range(3):
            call = asyncio.ensure_future(provider.ask("1"))
            await eventually(lambda: gate.now == 1, "the call is there")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await eventually(lambda: gate.now == 0, "the server sees that nobody waits")
        gate.opened.set()
        await provider.ask("1")


# Where it is


async def answers(provider: yandexgpt.YandexGPT) -> bool:
    try:
        await provider.ask("1")
    except ProviderError:
        return False
    return True


async def test_a_stand_in_that_comes_up_later_is_found() -> None:
    port = free_port()
    provider = gpt(f"localhost:{port}")
    assert (await failure(provider)).category is Category.UNAVAILABLE
    async with StandIn(port=port):
        await eventually(lambda: answers(provider), "it is found")


async def test_one_that_was_restarted_is_found_again() -> None:
    port = free_port()
    provider = gpt(f"localhost:{port}")
    async with StandIn(port=port):
        await provider.ask("1")
    assert not await answers(provider)
    async with StandIn(port=port):
        await eventually(lambda: answers(provider), "it is found")


async def test_the_wait_between_tries_to_connect_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    real = grpc.aio.insecure_channel

    def channel(*arguments: Any, options: Any, **more: Any) -> Any:
        given.update(options)
        return real(*arguments, options=options, **more)

    monkeypatch.setattr(grpc.aio, "insecure_channel", channel)
    async with StandIn() as server:
        await gpt(server.address).ask("1")
    assert given["grpc.max_reconnect_backoff_ms"] <= 2000
    assert given["grpc.primary_user_agent"].startswith("yandex-ai-studio-sdk/")


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    async with StandIn() as server:
        await gpt(server.address).ask("1")


class Discovery(api_endpoint_service_pb2_grpc.ApiEndpointServiceServicer):
    """Tells where the completion service is, and is nothing else."""

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        self._endpoints = endpoints

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        endpoints = [
            api_endpoint_pb2.ApiEndpoint(id=name, address=address) for name, address in self._endpoints.items()
        ]
        return api_endpoint_service_pb2.ListApiEndpointsResponse(endpoints=endpoints)


@pytest.mark.parametrize("known", [True, False])
async def test_the_address_of_addresses_works_too(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with StandIn() as server:
        discovery = grpc.aio.server()
        port = discovery.add_insecure_port("localhost:0")
        endpoints = {"ai-foundation-models": server.address} if known else {"compute": server.address}
        api_endpoint_service_pb2_grpc.add_ApiEndpointServiceServicer_to_server(Discovery(endpoints), discovery)
        await discovery.start()
        monkeypatch.setattr(yandexgpt, "_DISCOVERY", f"localhost:{port}")
        provider = gpt(f"localhost:{port}")
        if known:
            await provider.ask("1")
        else:
            await failure(provider)
        assert len(server.requests) == known
        await discovery.stop(grace=0)


async def test_a_stand_in_that_knows_discovery_too_is_asked_directly(sandbox: Remote) -> None:
    got: Any = await gpt(sandbox.grpc_address).ask("превет")
    assert got["text"] == "Привет."


async def test_a_server_without_the_service() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("localhost:0")
    await server.start()
    error = await failure(gpt(f"localhost:{port}"))
    await server.stop(grace=0)
    assert error.category is Category.MISCONFIGURED
    assert "YANDEXGPT_ENDPOINT" in error.reason


# TLS


def _credentials(authority: Authority) -> Any:
    return grpc.ssl_server_credentials([(authority.key.read_bytes(), authority.certificate.read_bytes())])


async def test_a_certificate_of_a_stranger(authority: Authority) -> None:
    async with StandIn(credentials=_credentials(authority)) as server:
        error = await failure(gpt(server.address, insecure=False))
        assert error.category is Category.MISCONFIGURED
        assert not server.requests


async def test_plaintext_where_tls_is_wanted(authority: Authority) -> None:
    async with StandIn(credentials=_credentials(authority)) as server:
        error = await failure(gpt(server.address, insecure=True))
        assert error.category in {Category.UNAVAILABLE, Category.OUTCOME_UNKNOWN}
        assert not server.requests


PRIVATE = """
import asyncio, sys
from gonets.adapters.providers.dadata import Dadata
from gonets.adapters.providers.transport import HttpTransport
from adapters.providers.conftest import gpt

async def main(grpc_address, url):
    transport = HttpTransport(timeout=10)
    print((await gpt(grpc_address, insecure=False).ask("1"))["text"])
    print(await Dadata("phone", transport, url, "k", "s").ask("1"))
    await transport.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_private_authority_is_trusted_by_the_environment(authority: Authority) -> None:
    """As the libraries below read it: for HTTP and for gRPC, each in its own way."""
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(authority.ca),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.ca),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONIOENCODING": "utf-8",
    }
    async with (
        StandIn(credentials=_credentials(authority)) as server,
        Peer(answering(answer(b'[{"qc":0}]')), authority.server()) as peer,
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PRIVATE, server.address, peer.url, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert out.decode().split("\n") == ["Привет.", "{'qc': 0}", ""]


# Secrets


@pytest.mark.parametrize("status", ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE", "UNKNOWN", "INTERNAL"])
async def test_no_secret_is_told(status: str, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_request: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(grpc.StatusCode[status], f"Unknown api key '{KEY}'", (("x-echo", KEY),))
        yield

    logging.getLogger("yandex_ai_studio_sdk").setLevel(logging.NOTSET)
    caplog.set_level(logging.DEBUG)
    async with StandIn(refuse) as server:
        error = await failure(gpt(server.address))
        assert server.metadata[0]["authorization"] == f"Api-Key {KEY}"
    logging.getLogger("test").exception("what a log shows of it", exc_info=error)
    assert error.answer == "Unknown api key '***'"
    assert KEY not in error.reason
    assert KEY not in caplog.text


# Its words


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ("слишком длинный текст", "слишком длинный текст"),
        ("nul \0", "nul \ufffd"),
        ("x" * 490 + KEY, "x" * 490 + "***"),
        ("x" * 498 + KEY, "x" * 498 + "*…"),
        ("", None),
    ],
)
async def test_what_it_said_is_kept(details: str, words: str | None) -> None:
    async def refuse(_request: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, details)
        yield

    async with StandIn(refuse) as server:
        assert (await failure(gpt(server.address))).answer == words


async def test_what_grpc_says_at_our_end_is_none_of_its_words() -> None:
    async def hang(_request: Any, _context: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    assert (await failure(gpt("127.0.0.1:1"))).answer is None
    async with StandIn(hang) as server:
        late = await failure(gpt(server.address, timeout=0.3))
    assert (late.category, late.answer) == (Category.OUTCOME_UNKNOWN, None)


async def test_the_sandboxs_unknown_key(sandbox: Remote) -> None:
    assert (await failure(gpt(sandbox.grpc_address, api_key="unknown-1"))).category is Category.MISCONFIGURED
    assert (await failure(gpt(sandbox.grpc_address, folder_id="unknown"))).category is Category.MISCONFIGURED
    assert (await failure(gpt(sandbox.grpc_address, model="unknown"))).category is Category.MISCONFIGURED
