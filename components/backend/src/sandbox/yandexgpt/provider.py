"""YandexGPT: its switches, its keys, its gauge of calls in flight, and the REST wire.

Source of the REST bodies: recorded requests, answers and errors in public clients of
`https://llm.api.cloud.yandex.net/foundationModels/v1/completion`. 64-bit numbers are strings there.
"""

import json
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.faults import GRPC_TO_HTTP
from sandbox.http import endpoint
from sandbox.provider import Answer, Desk, HttpProvider, to_json
from sandbox.yandexgpt.grpc_api import CODES, GrpcApi, code_for
from sandbox.yandexgpt.texts import MODEL_VERSION, Completion, Prompt, RefusedError, complete, pieces


class YandexGptSettings(BaseModel):
    """The body of `PUT /control/settings/yandexgpt`. The real quota for `max_in_flight` is 10."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    known_keys: list[str] | None = None
    max_in_flight: int | None = Field(default=None, ge=1)


class YandexGpt(HttpProvider[YandexGptSettings]):
    name: ClassVar[str] = "yandexgpt"
    title: ClassVar[str] = "YandexGPT: text generation, gRPC and REST"
    address: ClassVar[str] = "gRPC port, and /yandexgpt/foundationModels/v1/completion"
    operations: ClassVar[Sequence[str]] = ("completion", "tokenize", "unknown")
    speaks_grpc: ClassVar[bool] = True
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("превет, карова", "Привет, корова. (misspellings it knows are corrected)"),
        ("any other text", "the same, with a capital letter and a full stop"),
        ("… [truncated]", "3 tokens, status TRUNCATED_FINAL (so does max_tokens when it is too small)"),
        ("… [filter]", "status CONTENT_FILTER"),
        ("… [empty]", "an empty text, status FINAL"),
        ("… [tools]", "status TOOL_CALLS"),
        ("… [no-alternatives]", "an answer without alternatives"),
        ("… [nul]", "U+0000 in its place"),
        ("any key or token that starts with unknown", "UNAUTHENTICATED"),
        ("folder that starts with unknown", "PERMISSION_DENIED"),
        ("model that starts with unknown", "NOT_FOUND"),
    )

    def __init__(self, desk: Desk, grpc_address: str) -> None:
        super().__init__(desk, YandexGptSettings())
        self._grpc_address = grpc_address
        self._in_flight = 0

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.route(
                "*",
                "/yandexgpt/foundationModels/v1/completion",
                endpoint(self, "completion", self._rest_completion, _question),
            ),
            web.route("*", "/yandexgpt/{rest:.*}", endpoint(self, "unknown", self._nowhere, lambda _: None)),
        )

    def grpc_handlers(self) -> Sequence[Any]:
        return GrpcApi(self, self._grpc_address).handlers()

    def error(self, status: int, message: str = "") -> Answer:
        return _error(code_for(status), message, status)

    def admit(self, request: web.Request) -> Answer | None:  # noqa: ARG002
        try:
            self.enter()
        except RefusedError as refused:
            return _error(refused.code, refused.message)
        return None

    def enter(self) -> None:
        """Raises RefusedError where as many calls as allowed are in flight; else `leave` has to follow."""
        limit = self.settings.max_in_flight
        if limit is not None and self._in_flight >= limit:
            gauge = "ai.textGenerationCompletionSessionsCount.count gauge quota limit exceed"
            raise RefusedError("RESOURCE_EXHAUSTED", f"{gauge}: allowed {limit} requests")
        self._in_flight += 1

    def leave(self) -> None:
        self._in_flight -= 1

    def authenticate(self, authorization: str) -> None:
        """Raises RefusedError unless it is `Api-Key <key>` or `Bearer <token>` with a key that is known."""
        scheme, _, key = authorization.partition(" ")
        if scheme not in {"Api-Key", "Bearer"} or not key:
            raise RefusedError("UNAUTHENTICATED", "The token is invalid or missing")
        known = self.settings.known_keys
        if key not in known if known is not None else key.startswith("unknown"):
            what = "api key" if scheme == "Api-Key" else "iam token"
            raise RefusedError("UNAUTHENTICATED", f"Unknown {what} '{key[:4]}***'")

    def _rest_completion(self, request: web.Request, body: bytes) -> Answer:
        if request.method != "POST":
            return self.error(405)
        try:
            self.authenticate(request.headers.get("Authorization", ""))
            prompt = _prompt(body)
            completion = complete(prompt)
        except RefusedError as refused:
            return _error(refused.code, refused.message)
        headers = {"x-request-id": str(uuid.uuid4()), "x-server-trace-id": uuid.uuid4().hex}
        if "x-client-request-id" in request.headers:
            headers["x-client-request-id"] = request.headers["x-client-request-id"]
        return Answer(200, _stream(completion) if prompt.stream else _result(completion), headers=headers)

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404)


def _error(code: str, message: str, status: int | None = None) -> Answer:
    status = status or GRPC_TO_HTTP[code]
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    error = {
        "grpcCode": CODES[code].value[0],
        "httpCode": status,
        "message": message or phrase,
        "httpStatus": phrase,
        "details": [],
    }
    return Answer(status, to_json({"error": error}))


def _prompt(body: bytes) -> Prompt:
    try:
        request = json.loads(body)
        options = request.get("completionOptions") or {}
        max_tokens, temperature = options.get("maxTokens"), options.get("temperature")
        return Prompt(
            model_uri=str(request.get("modelUri", "")),
            messages=[(str(m["role"]), str(m.get("text", ""))) for m in request.get("messages") or []],
            max_tokens=None if max_tokens is None else int(max_tokens),
            temperature=None if temperature is None else float(temperature),
            stream=bool(options.get("stream")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RefusedError("INVALID_ARGUMENT", "Failed to parse the request body") from error


def _question(body: bytes) -> str | None:
    try:
        return _prompt(body).question
    except RefusedError:
        return body.decode("utf-8", "replace")


def _result(completion: Completion, text: str | None = None) -> bytes:
    """The whole answer; or, with `text`, the piece of a stream that ends there."""
    status = completion.status if text is None else "PARTIAL"
    shown = completion.text if text is None else text
    alternative = {"message": {"role": "assistant", "text": shown}, "status": f"ALTERNATIVE_STATUS_{status}"}
    usage = {
        "inputTextTokens": str(completion.input_tokens),
        "completionTokens": str(completion.completion_tokens),
        "totalTokens": str(completion.input_tokens + completion.completion_tokens),
        "completionTokensDetails": {"reasoningTokens": "0"},
    }
    alternatives = [] if shown is None else [alternative]
    return to_json({"result": {"alternatives": alternatives, "usage": usage, "modelVersion": MODEL_VERSION}})


def _stream(completion: Completion) -> bytes:
    parts = [_result(completion, piece) for piece in pieces(completion.text or "")]
    return b"\n".join([*parts, _result(completion)]) + b"\n"
