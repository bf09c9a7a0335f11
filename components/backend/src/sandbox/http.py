"""The HTTP edge: takes a call in, writes it into the journal, and answers it or lets it meet its fault."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from sandbox.faults import ANSWER_IS_LOST, GRPC_TO_HTTP, Verdict
from sandbox.journal import Entry, abbreviate, masked
from sandbox.provider import Answer, HttpProvider

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answering = Callable[[web.Request, bytes], Answer | Awaitable[Answer]]
Reading = Callable[[bytes], str | None]

NOT_JSON = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"


def endpoint(provider: HttpProvider[Any], operation: str, answering: Answering, reading: Reading) -> Handler:
    """A handler for one operation of a provider.

    `answering` is the provider proper: it takes the request and its body, and answers, mostly at once.
    `reading` finds in the body what the journal calls the input; it must not raise.
    """
    faults, journal, name = provider.desk.faults, provider.desk.journal, provider.name

    async def handle(request: web.Request) -> web.StreamResponse:
        verdict = faults.decide(name, operation)
        entry = journal.open(name, operation, masked(request.raw_headers), verdict.kind)
        try:
            if verdict.kind == "reset_before":
                return _cut(request, entry)
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return _send(provider.error(413), entry)
            text = reading(body)
            entry.input = None if text is None else abbreviate(text)
            return await _admitted(provider, request, body, answering, verdict, entry)
        except asyncio.CancelledError:
            if entry.outcome == "in_progress":
                entry.end("client_gone")
            raise

    return handle


async def _admitted(
    provider: HttpProvider[Any], request: web.Request, body: bytes, answering: Answering, verdict: Verdict, entry: Entry
) -> web.StreamResponse:
    if (refusal := provider.admit(request)) is not None:
        return _send(refusal, entry)
    try:
        if verdict.latency_s:
            await asyncio.sleep(verdict.latency_s)
        if verdict.kind is None:
            return _send(await _answered(answering, request, body), entry)
        if verdict.kind in ANSWER_IS_LOST:
            return await _lose(provider, request, await _answered(answering, request, body), verdict, entry)
        return _refuse(provider, verdict, entry)
    finally:
        provider.leave()


async def _answered(answering: Answering, request: web.Request, body: bytes) -> Answer:
    answer = answering(request, body)
    return answer if isinstance(answer, Answer) else await answer


def _send(answer: Answer, entry: Entry) -> web.Response:
    entry.end("answered" if answer.fine else "refused", answer.status)
    return _response(answer)


def _response(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body, status=answer.status, headers={"Content-Type": answer.content_type, **answer.headers}
    )


def _refuse(provider: HttpProvider[Any], verdict: Verdict, entry: Entry) -> web.Response:
    """Faults by which the provider says no: the call was not taken."""
    kind = verdict.kind or ""
    status = verdict.status or GRPC_TO_HTTP.get(kind, 429)
    response = _response(provider.error(status))
    if verdict.retry_after is not None:
        response.headers["Retry-After"] = str(verdict.retry_after)
    entry.end("faulted", status)
    return response


async def _lose(
    provider: HttpProvider[Any], request: web.Request, answer: Answer, verdict: Verdict, entry: Entry
) -> web.StreamResponse:
    """Faults after which the client cannot know what became of its call: it WAS taken."""
    if verdict.kind == "hang":
        await provider.desk.faults.hang()
    if verdict.kind in {"hang", "reset"}:
        return _cut(request, entry)
    entry.end("faulted", answer.status)
    if verdict.kind == "truncated":
        return await _truncate(request, answer)
    body, content_type = {
        "not_json": (NOT_JSON, "text/html; charset=utf-8"),
        "garbage": (b"\xff" + verdict.noise, "application/json"),  # 0xFF never occurs in UTF-8
        "empty": (b"", "application/json"),
        "wrong_json": (b'{"unexpected":[null,{"shape":true}]}', "application/json"),
    }[verdict.kind or ""]
    return web.Response(body=body, status=HTTPStatus.OK, headers={"Content-Type": content_type})


def _cut(request: web.Request, entry: Entry) -> web.Response:
    """Ends the connection by a TCP reset: a socket closed with a zero linger time sends RST, not FIN."""
    entry.end("faulted")
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()  # nobody is there to read it


async def _truncate(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Promises the whole length, sends half, closes in an orderly way."""
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
