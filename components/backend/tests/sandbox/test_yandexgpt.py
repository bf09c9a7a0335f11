"""YandexGPT, asked by Yandex's own SDK over gRPC, by plain stubs, and by its REST form."""

import asyncio

import grpc
import grpc.aio
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2_grpc as stubs
from yandex_ai_studio_sdk.exceptions import AioRpcError

REST = "/yandexgpt/foundationModels/v1/completion"
KEY = {"Authorization": "Api-Key AQVN0123456789"}
URI = "gpt://b1g000000000/yandexgpt/latest"


def question(text: str, **options) -> dict:
    return {"modelUri": URI, "completionOptions": options, "messages": [{"role": "user", "text": text}]}


@pytest.mark.parametrize("discovery", [True, False])
async def test_the_sdk_gets_a_correction(studio, discovery):
    model = studio(discovery=discovery)
    messages = [{"role": "system", "text": "Исправь ошибки"}, {"role": "user", "text": "Превет,  карова"}]
    result = await model.run(messages, timeout=30)
    assert (result.text, result.status.name, result[0].role) == ("Привет, корова.", "FINAL", "assistant")
    assert result.usage.total_tokens == result.usage.input_text_tokens + result.usage.completion_tokens
    assert result.usage.completion_tokens > 0
    assert result.model_version == "09.02.2025"


@pytest.mark.parametrize(
    ("text", "status", "answer"),
    [
        ("мама мыла раму", "FINAL", "Мама мыла раму."),
        ("Готово!", "FINAL", "Готово!"),
        ("один два три четыре [truncated]", "TRUNCATED_FINAL", "Один два три"),
        ("[filter]", "CONTENT_FILTER", "Я не могу обсуждать эту тему. Давайте поговорим о чём-нибудь ещё."),
        ("[empty]", "FINAL", ""),
        ("[tools]", "TOOL_CALLS", ""),
        ("до[nul]после", "FINAL", "До\x00после."),
    ],
)
async def test_documented_inputs(studio, sandbox, text, status, answer):
    result = await studio().run(text, timeout=30)
    assert (result.status.name, result.text) == (status, answer)
    rest = await sandbox.http.post(REST, headers=KEY, json=question(text))
    alternative = rest.json()["result"]["alternatives"][0]
    assert (alternative["status"], alternative["message"]["text"]) == (f"ALTERNATIVE_STATUS_{status}", answer)


async def test_an_answer_without_alternatives(studio):
    assert (await studio().run("[no-alternatives]", timeout=30)).alternatives == ()


async def test_max_tokens_truncates(studio):
    result = await studio(max_tokens=2).run("один два три", timeout=30)
    assert (result.status.name, result.text, result.usage.completion_tokens) == ("TRUNCATED_FINAL", "Один два", 2)


async def test_a_stream_is_cumulative(studio):
    pieces = [(piece.text, piece.status.name) async for piece in studio().run_stream("один два", timeout=30)]
    assert pieces == [("Один", "PARTIAL"), ("Один два.", "FINAL")]


async def test_tokenizer(studio, sandbox):
    tokens = await studio().tokenize("один два")
    assert [token.text for token in tokens] == ["один", " два"]
    assert (await sandbox.count(operation="tokenize"))["total"] == 1


async def test_an_unknown_key(studio):
    with pytest.raises(AioRpcError, match="Unknown api key") as caught:
        await studio(key="unknown-key").run("1", timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_known_keys_can_be_set(studio, sandbox):
    await sandbox.settings("yandexgpt", known_keys=["mine"])
    with pytest.raises(AioRpcError):
        await studio(key="theirs").run("1", timeout=30)
    assert (await studio(key="mine").run("1", timeout=30)).text == "1."


async def test_no_authorization_at_all(sandbox):
    async with grpc.aio.insecure_channel(sandbox.grpc_address) as channel:
        call = stubs.TextGenerationServiceStub(channel).Completion(generation.CompletionRequest(model_uri=URI))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("scheme", ["Api-Key", "Bearer"])
async def test_the_request_id_is_echoed(sandbox, scheme):
    request = generation.CompletionRequest(model_uri=URI, messages=[{"role": "user", "text": "1"}])
    metadata = (("authorization", f"{scheme} k"), ("x-client-request-id", "id-1"))
    async with grpc.aio.insecure_channel(sandbox.grpc_address) as channel:
        call = stubs.TextGenerationServiceStub(channel).Completion(request, metadata=metadata)
        initial = dict(await call.initial_metadata())
        assert (await call.read()).alternatives[0].message.text == "1."
    assert initial["x-client-request-id"] == "id-1"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"modelUri": "nonsense"}, 400, 3),
        ({"modelUri": "gpt://unknown-folder/yandexgpt/latest"}, 403, 7),
        ({"modelUri": "gpt://b1g/unknown/latest"}, 404, 5),
        ({"messages": []}, 400, 3),
        ({"messages": "text"}, 400, 3),
        ({"completionOptions": {"maxTokens": "0"}}, 400, 3),
        ({"completionOptions": {"temperature": 1.5}}, 400, 3),
        ({"completionOptions": {"temperature": "hot"}}, 400, 3),
    ],
)
async def test_bad_requests(sandbox, change, status, code):
    answer = await sandbox.http.post(REST, headers=KEY, json=question("1") | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["httpCode"], error["grpcCode"]) == (status, status, code)
    assert set(error) == {"grpcCode", "httpCode", "message", "httpStatus", "details"}


async def test_the_rest_form(sandbox):
    body = question("превет", stream=False, temperature=0.3, maxTokens="500")
    answer = await sandbox.http.post(REST, headers=KEY | {"x-client-request-id": "id-2"}, json=body)
    assert answer.json() == {
        "result": {
            "alternatives": [
                {"message": {"role": "assistant", "text": "Привет."}, "status": "ALTERNATIVE_STATUS_FINAL"}
            ],
            "usage": {
                "inputTextTokens": "2",
                "completionTokens": "2",
                "totalTokens": "4",
                "completionTokensDetails": {"reasoningTokens": "0"},
            },
            "modelVersion": "09.02.2025",
        }
    }
    assert {"x-request-id", "x-server-trace-id"} <= set(answer.headers)
    assert answer.headers["x-client-request-id"] == "id-2"


async def test_the_rest_form_streams_one_object_a_line(sandbox):
    answer = await sandbox.http.post(REST, headers=KEY, json=question("один два", stream=True))
    results = [httpx.Response(200, content=line).json()["result"] for line in answer.content.splitlines()]
    texts = [result["alternatives"][0]["message"]["text"] for result in results]
    assert texts == ["Один", "Один два."]


async def test_the_rest_form_wants_a_key(sandbox):
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer unknown"}):
        answer = await sandbox.http.post(REST, headers=headers, json=question("1"))
        assert (answer.status_code, answer.json()["error"]["grpcCode"]) == (401, 16)


async def test_the_eleventh_call_in_flight_is_refused(studio, sandbox, until):
    await sandbox.settings("yandexgpt", max_in_flight=10)
    await sandbox.fault("yandexgpt", kind="hang", times=10)
    model = studio()
    hanging = [asyncio.ensure_future(model.run(str(number), timeout=60)) for number in range(10)]

    async def all_there() -> bool:
        return (await sandbox.count(provider="yandexgpt", outcome="in_progress"))["total"] == 10

    await until(all_there)
    with pytest.raises(AioRpcError, match="allowed 10 requests") as caught:
        await model.run("11", timeout=30)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await sandbox.http.post(REST, headers=KEY, json=question("1"))).status_code == 429
    await sandbox.http.post("/control/reset")
    await asyncio.gather(*hanging, return_exceptions=True)
    await sandbox.settings("yandexgpt", max_in_flight=1)
    assert (await model.run("11", timeout=30)).text == "11."


@pytest.mark.parametrize("name", [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_grpc_status(studio, sandbox, name):
    await sandbox.fault("yandexgpt", kind=name)
    with pytest.raises((AioRpcError, asyncio.CancelledError)) as caught:
        await studio().run("1", timeout=30)
    if name != "CANCELLED":
        assert caught.value.code().name == name
    assert [(e["status"], e["fault"]) for e in await sandbox.journal()] == [(name, name)]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 503}, "UNAVAILABLE"),
        ({"kind": "status", "status": 502}, "UNAVAILABLE"),
        ({"kind": "status", "status": 500}, "INTERNAL"),
        ({"kind": "status", "status": 403}, "PERMISSION_DENIED"),
        ({"kind": "status", "status": 418}, "UNKNOWN"),
        ({"kind": "429"}, "RESOURCE_EXHAUSTED"),
        ({"kind": "reset"}, "UNAVAILABLE"),
        ({"kind": "reset_before"}, "UNAVAILABLE"),
        ({"kind": "truncated"}, "UNAVAILABLE"),
    ],
)
async def test_http_faults_have_a_grpc_form(studio, sandbox, fault, code):
    await sandbox.fault("yandexgpt", **fault)
    with pytest.raises(AioRpcError) as caught:
        await studio().run("один два", timeout=30)
    assert caught.value.code().name == code
    assert (await sandbox.journal())[-1]["outcome"] == "faulted"


async def test_retry_after_travels_as_retry_info(sandbox):
    await sandbox.fault("yandexgpt", kind="RESOURCE_EXHAUSTED", retry_after=7)
    async with grpc.aio.insecure_channel(sandbox.grpc_address) as channel:
        call = stubs.TextGenerationServiceStub(channel).Completion(generation.CompletionRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, info.retry_delay.seconds) == (8, 7)


async def test_a_hanging_call_ends_at_the_deadline(studio, sandbox, until):
    await sandbox.fault("yandexgpt", kind="hang")
    with pytest.raises(AioRpcError) as caught:
        await studio().run("1", timeout=1)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    async def noticed() -> bool:
        return (await sandbox.journal())[-1]["outcome"] == "client_gone"

    await until(noticed)


async def test_a_stream_without_a_message(studio, sandbox):
    await sandbox.fault("yandexgpt", kind="empty")
    with pytest.raises(RuntimeError, match="less then one result"):
        await studio().run("1", timeout=30)


@pytest.mark.parametrize("kind", ["garbage", "not_json"])
async def test_bytes_that_are_no_message(sandbox, kind):
    await sandbox.fault("yandexgpt", kind=kind)
    async with grpc.aio.insecure_channel(sandbox.grpc_address) as channel:
        call = channel.unary_stream(
            "/yandex.cloud.ai.foundation_models.v1.TextGenerationService/Completion",
            generation.CompletionRequest.SerializeToString,
        )(generation.CompletionRequest())
        received = await call.read()
    with pytest.raises(Exception, match="Error parsing message"):
        generation.CompletionResponse.FromString(received)


async def test_a_message_of_another_shape(studio, sandbox):
    await sandbox.fault("yandexgpt", kind="wrong_json")
    result = await studio().run("1", timeout=30)
    assert (result.alternatives, result.usage.total_tokens) == ((), 0)


async def test_a_cut_stream_shows_no_more_than_a_piece(studio, sandbox):
    await sandbox.fault("yandexgpt", kind="truncated")
    pieces = []

    async def read():
        async for piece in studio().run_stream("один два", timeout=30):
            pieces.append(piece.text)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(AioRpcError):
        await read()
    # The reset may overtake the piece on the way.
    assert pieces in ([], ["Один"])


async def test_the_sdk_retries_what_is_gone_after_two_calls(studio, sandbox):
    await sandbox.fault("yandexgpt", kind="UNAVAILABLE", times=2)
    assert (await studio(attempts=3).run("превет", timeout=30)).text == "Привет."
    entries = await sandbox.journal(provider="yandexgpt")
    assert [entry["status"] for entry in entries] == ["UNAVAILABLE", "UNAVAILABLE", "OK"]
    assert len({entry["headers"]["idempotency-key"] for entry in entries}) == 1
