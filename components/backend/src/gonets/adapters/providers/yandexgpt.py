"""YandexGPT through Yandex's SDK: https://yandex.cloud/docs/foundation-models/ (gRPC, TextGenerationService)."""

import logging
import os
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes to stderr by itself; before its import

import grpc
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from yandex_ai_studio_sdk import AsyncAIStudio
from yandex_ai_studio_sdk.auth import APIKeyAuth, IAMTokenAuth
from yandex_ai_studio_sdk.retry import RetryPolicy

from gonets.adapters.providers.words import words
from gonets.core.shared.errors import Category
from gonets.core.shared.masking import Masking
from gonets.core.tasks.model import JSON, ProviderError

_SERVICE = "ai-foundation-models"
_DISCOVERY = "api.cloud.yandex.net:443"

_KEYS = "check FOLDER_ID and IAM_TOKEN or YANDEXGPT_API_KEY"
_STATUS: Mapping[grpc.StatusCode, tuple[Category, str]] = {
    grpc.StatusCode.CANCELLED: (Category.OUTCOME_UNKNOWN, "the call to YandexGPT was cut off"),
    grpc.StatusCode.UNKNOWN: (Category.OUTCOME_UNKNOWN, "YandexGPT failed in an unknown way"),
    grpc.StatusCode.INVALID_ARGUMENT: (Category.REFUSED, "YandexGPT refused the text or a setting"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (Category.OUTCOME_UNKNOWN, "YandexGPT did not answer in time"),
    grpc.StatusCode.NOT_FOUND: (Category.MISCONFIGURED, "YandexGPT has no such model: check YANDEXGPT_MODEL"),
    grpc.StatusCode.ALREADY_EXISTS: (Category.REFUSED, "YandexGPT refused the request"),
    grpc.StatusCode.PERMISSION_DENIED: (Category.MISCONFIGURED, f"YandexGPT refused the account: {_KEYS}"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Category.QUOTA_EXHAUSTED, "YandexGPT's quota is used up"),
    grpc.StatusCode.FAILED_PRECONDITION: (Category.REFUSED, "YandexGPT refused the request"),
    grpc.StatusCode.ABORTED: (Category.UNAVAILABLE, "YandexGPT gave the call up"),
    grpc.StatusCode.OUT_OF_RANGE: (Category.REFUSED, "YandexGPT refused the request"),
    grpc.StatusCode.UNIMPLEMENTED: (Category.MISCONFIGURED, "not YandexGPT: check YANDEXGPT_ENDPOINT"),
    grpc.StatusCode.INTERNAL: (Category.UNAVAILABLE, "YandexGPT has an internal error"),
    grpc.StatusCode.UNAVAILABLE: (Category.UNAVAILABLE, "YandexGPT cannot be reached"),
    grpc.StatusCode.DATA_LOSS: (Category.OUTCOME_UNKNOWN, "YandexGPT's answer was damaged"),
    grpc.StatusCode.UNAUTHENTICATED: (Category.MISCONFIGURED, f"YandexGPT does not know the key: {_KEYS}"),
}

# The status alone does not say whether the request was written: gRPC makes up statuses of its own. Its words tell.
_NEVER_SENT = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
_LOST = (
    "Stream removed",
    "RST_STREAM",
    "Socket closed",
    "Connection reset",
    "Broken pipe",
    "recvmsg",
    "sendmsg",
    "GOAWAY",
    "keepalive",
    "larger than max",
)
# What gRPC says at our end, where nobody answered.
_OURS = ("Deadline Exceeded", "Locally cancelled by application!")

_CHANNEL = (
    # Else gRPC gives every channel to one address the same connection, a dead one too.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),  # as everywhere here: what is to be called is what the settings name
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),  # two minutes by default, in which no call is even tried
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one try to connect may take
    # A connection that went dead without a word is given up, rather than each call on it waiting for its timeout.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
)


class YandexGPT:
    """Sends the text with the system prompt. Implements Provider.

    The answer is a JSON object: `text`, `role`, `status` and `tool_calls` of the first alternative, all `alternatives`,
    `usage` and `model_version`. A text that the model's filter withheld, or that was cut at the token limit, is an
    answer too: `status` says so.

    `endpoint`: host:port of the service, or the address where Yandex tells its services' addresses. `timeout`: seconds
    for one call.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        insecure: bool,
        folder_id: str,
        api_key: str,
        iam_token: str,
        model: str,
        system_prompt: str,
        temperature: float,
        max_tokens: int,
        timeout: float,
    ) -> None:
        def open_model() -> Any:
            studio = AsyncAIStudio(
                folder_id=folder_id,
                auth=APIKeyAuth(api_key) if api_key else IAMTokenAuth(iam_token),
                endpoint=endpoint if endpoint == _DISCOVERY else None,
                service_map={} if endpoint == _DISCOVERY else {_SERVICE: endpoint},
                verify=not insecure,  # in this SDK, not to verify means plaintext
                retry_policy=RetryPolicy(max_attempts=1),  # tries are counted and timed by the task's row
            )
            # The SDK takes no options for its channel. Its version is pinned, and tests see that this works.
            options: Any = (*studio._client._get_options(), *_CHANNEL)
            studio._client._get_options = lambda: options  # type: ignore[method-assign]
            return studio.models.completions(model).configure(temperature=temperature, max_tokens=max_tokens)

        # On DEBUG it logs what the other side says, and that may quote the key.
        logging.getLogger("yandex_ai_studio_sdk").setLevel(logging.INFO)
        self._masking = Masking([api_key, iam_token])
        self._open_model = open_model
        self._model = open_model()
        self._system_prompt = system_prompt
        self._timeout = timeout

    async def ask(self, data: str) -> JSON:
        messages: Any = [  # the SDK keeps the type of this to itself
            {"role": "system", "text": self._system_prompt},
            {"role": "user", "text": data},
        ]
        model = self._model
        try:
            result = await model.run(messages, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and model is self._model:
                # Perhaps the network has forgotten the connection: gRPC would go on with it for a quarter of an hour.
                # Calls that are under way on it keep it alive; the next ones get another.
                self._model = self._open_model()
            raise _error(error, self._masking) from None  # its text may quote the key
        except Exception as error:
            # The SDK has no error of its own for an answer it cannot read, nor for a stream without one.
            reason = f"YandexGPT's answer cannot be read ({type(error).__name__})"
            raise ProviderError(Category.OUTCOME_UNKNOWN, reason) from error
        if not result.alternatives and not result.usage.total_tokens:
            raise ProviderError(Category.OUTCOME_UNKNOWN, "YandexGPT's answer is empty")
        return _to_json(result)


def _error(error: grpc.aio.AioRpcError, masking: Masking) -> ProviderError:
    code, details = error.code(), error.details() or ""
    if details.startswith(_NEVER_SENT):
        category = Category.MISCONFIGURED if "CERTIFICATE_VERIFY_FAILED" in details else Category.UNAVAILABLE
        return ProviderError(category, f"cannot connect to YandexGPT: {details}")
    category, reason = _STATUS.get(code, (Category.OUTCOME_UNKNOWN, "YandexGPT failed"))
    said = None if details in _OURS else words(details, masking)
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED and any(sign in details for sign in _LOST):
        category, reason, said = Category.OUTCOME_UNKNOWN, "the connection to YandexGPT was lost during the call", None
    # The reason is told to everybody; the details are kept beside it, for operators.
    return ProviderError(category, f"{reason} ({code.name})", retry_after=_retry_after(error), answer=said)


def _retry_after(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds, from google.rpc.RetryInfo in the trailer; None where there is none that can be read."""
    info = RetryInfo()
    for name, value in error.trailing_metadata() or ():
        if name != "grpc-status-details-bin":
            continue
        try:
            if any(detail.Unpack(info) for detail in Status.FromString(value).details):
                seconds: float = info.retry_delay.ToTimedelta().total_seconds()
                return max(seconds, 0.0)
        except Exception:  # noqa: BLE001 - a hint that cannot be read must not hide the error it came with
            return None
    return None


def _to_json(result: Any) -> JSON:
    alternatives = [_alternative(alternative) for alternative in result.alternatives]
    first = alternatives[0] if alternatives else {"role": None, "text": None, "status": None, "tool_calls": []}
    usage = result.usage
    return {
        **first,
        "alternatives": [*alternatives],
        "usage": {
            "input_text_tokens": usage.input_text_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "model_version": result.model_version,
    }


def _alternative(alternative: Any) -> dict[str, JSON]:
    functions = [call.function for call in alternative.tool_calls or () if call.function]
    return {
        "role": alternative.role,
        "text": alternative.text,
        "status": alternative.status.name,
        "tool_calls": [{"name": function.name, "arguments": function.arguments} for function in functions],
    }
