"""YandexGPT through Yandex's SDK: https://yandex.cloud/docs/foundation-models/ (gRPC, TextGenerationService)."""

from collections.abc import Mapping
from typing import Any

import grpc
from yandex_ai_studio_sdk import AsyncAIStudio
from yandex_ai_studio_sdk.auth import APIKeyAuth, IAMTokenAuth
from yandex_ai_studio_sdk.retry import RetryPolicy

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import JSON, ProviderError

_SERVICE = "ai-foundation-models"

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

# gRPC says UNAVAILABLE both for "could not connect" and for "lost on the way": its own words tell them apart.
_LOST = ("Socket closed", "Connection reset", "Broken pipe", "recvmsg", "Stream removed", "GOAWAY", "keepalive")


class YandexGPT:
    """Sends the text with the system prompt. Implements Provider.

    The answer is a JSON object: `text`, `status`, `role`, `usage`, `model_version`, and all `alternatives`. A text that
    the model's filter withheld, or that was cut at the token limit, is an answer too: `status` says so.

    `timeout`: seconds for one call.
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
        studio = AsyncAIStudio(
            folder_id=folder_id,
            auth=APIKeyAuth(api_key) if api_key else IAMTokenAuth(iam_token),
            endpoint=None,  # no discovery: the service's address is given
            service_map={_SERVICE: endpoint},
            verify=not insecure,  # in this SDK, not to verify means plaintext
            retry_policy=RetryPolicy(max_attempts=1),  # tries are counted and timed by the task's row
        )
        self._model = studio.models.completions(model).configure(temperature=temperature, max_tokens=max_tokens)
        self._system_prompt = system_prompt
        self._timeout = timeout

    async def ask(self, data: str) -> JSON:
        messages: Any = [  # the SDK keeps the type of this to itself
            {"role": "system", "text": self._system_prompt},
            {"role": "user", "text": data},
        ]
        try:
            result = await self._model.run(messages, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        except RuntimeError as error:
            # The SDK's word for a stream that ended without a message.
            raise ProviderError(Category.OUTCOME_UNKNOWN, "YandexGPT closed the call without an answer") from error
        return _to_json(result)


def _error(error: grpc.aio.AioRpcError) -> ProviderError:
    category, reason = _STATUS.get(error.code(), (Category.OUTCOME_UNKNOWN, "YandexGPT failed"))
    if error.code() is grpc.StatusCode.UNAVAILABLE and any(words in (error.details() or "") for words in _LOST):
        category, reason = Category.OUTCOME_UNKNOWN, "the connection to YandexGPT was lost during the call"
    # The details may quote the key, so they stay out; a request id helps Yandex's support.
    return ProviderError(category, f"{reason} ({error.code().name})")


def _to_json(result: Any) -> JSON:
    alternatives: list[JSON] = [
        {"role": alternative.role, "text": alternative.text, "status": alternative.status.name}
        for alternative in result.alternatives
    ]
    usage = result.usage
    first: dict[str, JSON] = alternatives[0] if alternatives else {"role": None, "text": None, "status": None}  # type: ignore[assignment]
    return {
        "text": first["text"],
        "role": first["role"],
        "status": first["status"],
        "usage": {
            "input_text_tokens": usage.input_text_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "model_version": result.model_version,
        "alternatives": alternatives,
    }
