"""YandexGPT over gRPC, with the messages and service names of Yandex's own stubs (package `yandexcloud`).

The handlers are registered as generic ones because a fault has to be able to send bytes which are no message.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from yandex.cloud.ai.foundation_models.v1 import text_common_pb2 as common
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation
from yandex.cloud.endpoint import api_endpoint_pb2, api_endpoint_service_pb2

from sandbox.faults import GRPC_TO_HTTP, Verdict
from sandbox.journal import Entry, abbreviate, mask
from sandbox.yandexgpt.cut import cut_connection
from sandbox.yandexgpt.texts import MODEL_VERSION, TOKEN, Completion, Prompt, RefusedError, complete, pieces

if TYPE_CHECKING:
    from sandbox.yandexgpt.provider import YandexGpt

CODES: dict[str, Any] = {code.name: code for code in grpc.StatusCode}
Outgoing = generation.CompletionResponse | bytes


def code_for(http_status: int) -> str:
    """The gRPC status name for an HTTP status; 502 is UNAVAILABLE, as gRPC's own mapping says."""
    by_http = {status: name for name, status in reversed(GRPC_TO_HTTP.items())}
    by_http |= {502: "UNAVAILABLE", 500: "INTERNAL"}
    return by_http.get(http_status, "UNKNOWN")


class GrpcApi:
    """The three services the SDK meets: completion, tokenizer, and the discovery of addresses."""

    def __init__(self, provider: "YandexGpt", address: str) -> None:
        self._provider = provider
        self._address = address

    def handlers(self) -> Sequence[Any]:
        services = generation.DESCRIPTOR.services_by_name
        listing = api_endpoint_service_pb2.DESCRIPTOR.services_by_name["ApiEndpointService"]
        tokenizer = services["TokenizerService"].full_name
        return (
            _service(
                services["TextGenerationService"].full_name,
                Completion=grpc.unary_stream_rpc_method_handler(
                    self._completion, generation.CompletionRequest.FromString, _serialize
                ),
            ),
            _service(
                tokenizer,
                Tokenize=_unary(self._tokenize, generation.TokenizeRequest.FromString),
                TokenizeCompletion=_unary(self._tokenize_completion, generation.CompletionRequest.FromString),
            ),
            _service(
                listing.full_name, List=_unary(self._list, api_endpoint_service_pb2.ListApiEndpointsRequest.FromString)
            ),
        )

    async def _completion(self, request: generation.CompletionRequest, context: Any) -> AsyncIterator[Outgoing]:
        provider, prompt = self._provider, _prompt(request)
        verdict, entry = await self._begin("completion", prompt.question, context)
        try:
            provider.enter()
            try:
                if verdict.latency_s:
                    await asyncio.sleep(verdict.latency_s)
                if verdict.kind in {None, "truncated"}:
                    provider.authenticate(_authorization(context))
                    for message in _messages(complete(prompt), prompt.stream or verdict.kind == "truncated"):
                        yield message
                        if verdict.kind == "truncated":
                            await self._cut(context, entry)
                    entry.end("answered", "OK")
                    return
                entry.end("faulted", "OK")
                async for noise in self._fail(verdict, context, entry):
                    yield noise
            finally:
                provider.leave()
        except RefusedError as refused:
            await _refuse(refused, context, entry)
        except asyncio.CancelledError:
            if entry.outcome == "in_progress":
                entry.end("client_gone")
            raise

    async def _fail(self, verdict: Verdict, context: Any, entry: Entry) -> AsyncIterator[Outgoing]:
        kind = verdict.kind or ""
        if kind in {"not_json", "garbage"}:
            yield b"\xff" + verdict.noise  # 0xFF starts no field of any protobuf message
        elif kind == "wrong_json":
            yield generation.CompletionResponse()
        elif kind == "hang":
            entry.end("in_progress")
            await self._provider.desk.faults.hang()
            await self._cut(context, entry)
        elif kind in {"reset", "reset_before"}:
            await self._cut(context, entry)
        elif kind != "empty":
            await _abort(verdict, context, entry)

    async def _tokenize(self, request: generation.TokenizeRequest, context: Any) -> generation.TokenizeResponse:
        return await self._tokens("tokenize", request.text, context)

    async def _tokenize_completion(
        self, request: generation.CompletionRequest, context: Any
    ) -> generation.TokenizeResponse:
        return await self._tokens("tokenize", "\n".join(message.text for message in request.messages), context)

    async def _tokens(self, operation: str, text: str, context: Any) -> generation.TokenizeResponse:
        _, entry = await self._begin(operation, text, context)
        try:
            self._provider.authenticate(_authorization(context))
        except RefusedError as refused:
            await _refuse(refused, context, entry)
        entry.end("answered", "OK")
        tokens = [common.Token(id=number, text=token) for number, token in enumerate(TOKEN.findall(text), 1)]
        return generation.TokenizeResponse(tokens=tokens, model_version=MODEL_VERSION)

    async def _list(self, _request: Any, _context: Any) -> api_endpoint_service_pb2.ListApiEndpointsResponse:
        """Discovery is neither counted nor hit by faults: the SDK asks when it likes."""
        endpoint = api_endpoint_pb2.ApiEndpoint(id="ai-foundation-models", address=self._address)
        return api_endpoint_service_pb2.ListApiEndpointsResponse(endpoints=[endpoint])

    async def _begin(self, operation: str, text: str, context: Any) -> tuple[Verdict, Entry]:
        desk, name = self._provider.desk, self._provider.name
        metadata = context.invocation_metadata() or ()
        verdict = desk.faults.decide(name, operation)
        entry = desk.journal.open(name, operation, mask(metadata), verdict.kind)
        entry.input = abbreviate(text)
        request_id = next((value for key, value in metadata if key == "x-client-request-id"), None)
        if request_id is not None:
            await context.send_initial_metadata((("x-client-request-id", request_id),))
        return verdict, entry

    async def _cut(self, context: Any, entry: Entry) -> NoReturn:
        entry.end("faulted")
        if cut_connection(context.peer()):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "nobody is there to read this")
        await context.abort(grpc.StatusCode.INTERNAL, "the sandbox did not find the connection to cut")
        raise AssertionError("abort raises")


def _service(name: str, **methods: Any) -> Any:
    return grpc.method_handlers_generic_handler(name, methods)


def _unary(method: Callable[..., Any], deserialize: Callable[[bytes], Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(method, deserialize, lambda message: message.SerializeToString())


def _serialize(message: Outgoing) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def _authorization(context: Any) -> str:
    return next((str(value) for key, value in context.invocation_metadata() or () if key == "authorization"), "")


def _prompt(request: generation.CompletionRequest) -> Prompt:
    options = request.completion_options
    return Prompt(
        model_uri=request.model_uri,
        messages=[(message.role, message.text) for message in request.messages],
        max_tokens=options.max_tokens.value if options.HasField("max_tokens") else None,
        temperature=options.temperature.value if options.HasField("temperature") else None,
        stream=options.stream,
    )


def _messages(completion: Completion, stream: bool) -> list[generation.CompletionResponse]:
    """Whole: one message. Streamed: cumulative pieces first; an answer of one word is shown once as a piece, too."""
    text = completion.text or ""
    shown = [(piece, "PARTIAL") for piece in pieces(text) or [text]] if stream else []
    shown.append((text, completion.status))
    return [_message(completion, *part) for part in shown]


def _message(completion: Completion, text: str, status: str) -> generation.CompletionResponse:
    alternative = common.Alternative(
        message=common.Message(role="assistant", text=text),
        status=common.Alternative.AlternativeStatus.Value(f"ALTERNATIVE_STATUS_{status}"),
    )
    usage = common.ContentUsage(
        input_text_tokens=completion.input_tokens,
        completion_tokens=completion.completion_tokens,
        total_tokens=completion.input_tokens + completion.completion_tokens,
    )
    return generation.CompletionResponse(
        alternatives=[] if completion.text is None else [alternative], usage=usage, model_version=MODEL_VERSION
    )


async def _refuse(refused: RefusedError, context: Any, entry: Entry) -> NoReturn:
    entry.end("refused", refused.code)
    await context.abort(CODES[refused.code], refused.message)
    raise AssertionError("abort raises")


async def _abort(verdict: Verdict, context: Any, entry: Entry) -> NoReturn:
    """Ends the call with the status asked for; how long to wait travels as google.rpc.RetryInfo in the trailer."""
    kind = verdict.kind or ""
    name = kind if kind in CODES else code_for(verdict.status or 429)
    message = f"{name} (asked for by the test)"
    trailer: tuple[tuple[str, bytes], ...] = ()
    if verdict.retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.seconds = verdict.retry_after
        status = status_pb2.Status(code=CODES[name].value[0], message=message)
        status.details.add().Pack(info)
        trailer = (("grpc-status-details-bin", status.SerializeToString()),)
    entry.end("faulted", name)
    await context.abort(CODES[name], message, trailer)
    raise AssertionError("abort raises")
