"""Dadata through its own client on our transport: every code of its table, every shape of an answer, every example."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from adapters.providers.conftest import KEY, SECRET, Remote
from adapters.providers.peer import Peer, answer, answering, once
from gonets.adapters.providers.dadata import Dadata
from gonets.adapters.providers.transport import HttpTransport
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError

Make = Callable[..., Dadata]


async def failure(dadata: Dadata, data: str = "1") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await dadata.ask(data)
    return caught.value


# Its codes


@pytest.mark.parametrize(
    ("category", "statuses"),
    [
        (Category.REFUSED, (400, 405, 406, 409, 410, 413, 414, 415, 418, 422, 431)),
        (Category.MISCONFIGURED, (300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404)),
        (Category.QUOTA_EXHAUSTED, (429,)),
        (Category.UNAVAILABLE, (408, 500, 501, 502, 503, 505, 520, 599)),
        (Category.OUTCOME_UNKNOWN, (504,)),
    ],
)
async def test_every_status_has_its_category(dadata: Make, category: Category, statuses: tuple[int, ...]) -> None:
    for status in statuses:
        body = b"" if status == 304 else b"{}"
        async with Peer(answering(answer(body, "Location: /", status=f"{status} No"))) as peer:
            error = await failure(dadata(peer.url))
            assert (status, error.category, error.retry_after) == (status, category, None)
            assert error.reason.endswith(f"(HTTP {status})")
            assert len(peer.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "201 Created"])
async def test_every_success_is_one(dadata: Make, status: str) -> None:
    async with Peer(answering(answer(b'[{"qc":0}]', status=status))) as peer:
        assert await dadata(peer.url).ask("1") == {"qc": 0}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("0", 0, 0),
        ("7", 7, 7),
        (" 120 ", 120, 120),
        ("9" * 18, 1e17, 1e18),
        (3600, 3500, 3600),
        (-60, 0, 0),
        (10**8, 10**8 - 60, 10**8),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0, 0),
    ],
)
async def test_both_forms_of_retry_after(dadata: Make, status: int, header: str | int, low: float, high: float) -> None:
    if isinstance(header, int):
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=header), usegmt=True)
    async with Peer(answering(answer(b"{}", f"Retry-After: {header}", status=f"{status} No"))) as peer:
        error = await failure(dadata(peer.url))
    assert error.retry_after is not None
    assert low <= error.retry_after <= high


@pytest.mark.parametrize(
    "header",
    ["", "soon", "-1", "1.5", "1 2", "Wed, 99 Nov 2026 00:00:00 GMT", "Wed, 21 Oct 2026 07:28:00 +999999999999999"],
)
async def test_a_retry_after_that_says_nothing(dadata: Make, header: str) -> None:
    async with Peer(answering(answer(b"{}", f"Retry-After: {header}", status="429 No"))) as peer:
        error = await failure(dadata(peer.url))
    assert (error.category, error.retry_after) == (Category.QUOTA_EXHAUSTED, None)


# What an answer may look like


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b'[{"qc":0}',
        b'[{"qc":NaN}]',
        b'[{"qc":1e999}]',
        b'[{"a":"\xff"}]',
        b"[" * 50_000,
        b"null",
        b"true",
        b"7",
        b'"x"',
        b'""',
        b"{}",
        b'{"qc":0}',
        b'{"0":{"qc":0}}',
        b"[]",
        b"[null]",
        b"[7]",
        b'["x"]',
        b"[[]]",
        b'[[{"qc":0}]]',
    ],
)
async def test_an_answer_of_another_shape(dadata: Make, body: bytes) -> None:
    async with Peer(answering(answer(body))) as peer:
        assert (await failure(dadata(peer.url))).category is Category.OUTCOME_UNKNOWN
        assert len(peer.requests) == 1


async def test_every_field_is_kept_known_or_not(dadata: Make) -> None:
    record = {"qc": 0, "new": {"deep": [1, None, {"б": 1.5}]}, "null": None, "": "", "big": 2**64, "nul": "\0\ud800"}
    async with Peer(answering(answer(json.dumps([record]).encode()))) as peer:
        got = await dadata(peer.url).ask("1")
    assert isinstance(got, dict)
    assert list(got.items()) == list(record.items())


# What is asked


@pytest.mark.parametrize("path", ["/", "", "/api/v1/clean/phone", "/stand-in/clean?kind=phone&x=%D1%8F", "/a//b/"])
async def test_the_question_as_it_is_written(dadata: Make, path: str) -> None:
    async with Peer(answering(answer(b'[{"qc":0}]'))) as peer:
        await dadata(f"http://localhost:{peer.port}{path}").ask("раб 846)231.60.14 *139")
        head, body = peer.requests[0]
    first, *lines = head.decode().split("\r\n")
    assert first == f"POST {path or '/'} HTTP/1.1"
    assert {
        "Content-Type: application/json",
        "Accept: application/json",
        f"Authorization: Token {KEY}",
        f"X-Secret: {SECRET}",
        f"Host: localhost:{peer.port}",
    } <= set(lines)
    assert body == '["раб 846)231.60.14 *139"]'.encode()


@pytest.mark.parametrize(
    "data",
    [
        "1" * 10_000,
        "я" * 10_000,
        "😀" * 10_000,
        '"' * 10_000,
        "\\",
        "'\"`\n\r\t\x1b\x7f",
        "a\u2028b\u0301",
        "[]",
        "null",
    ],
)
async def test_any_text_arrives_as_it_is(dadata: Make, data: str) -> None:
    async with Peer(answering(answer(b'[{"qc":2}]'))) as peer:
        await dadata(peer.url).ask(data)
        assert json.loads(peer.requests[0][1]) == [data]


async def test_a_lone_surrogate_breaks_nothing(dadata: Make) -> None:
    async with Peer(answering(answer(b'[{"qc":2}]'))) as peer:
        await dadata(peer.url).ask("a\ud800b")
        assert json.loads(peer.requests[0][1]) == ["a?b"]


def test_the_sdk_opens_no_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "AsyncClient", None)
    Dadata("phone", HttpTransport(timeout=1), "http://localhost/", KEY, SECRET)


# Secrets


@pytest.mark.parametrize("status", [400, 401, 403, 418, 429, 500, 302, 200])
async def test_no_secret_is_told(dadata: Make, caplog: pytest.LogCaptureFixture, status: int) -> None:
    caplog.set_level(logging.DEBUG)
    words = f"Feature 'CLEAN' disabled for token '{KEY}', secret '{SECRET}'"
    body = json.dumps({"family": "CLIENT_ERROR", "reason": words, "message": words}).encode()
    async with Peer(answering(answer(body, f"X-Echo: {KEY} {SECRET}", status=f"{status} {KEY}"))) as peer:
        error = await failure(dadata(peer.url))
    assert error.answer is not None
    assert "Feature 'CLEAN' disabled for token '***', secret '***'" in error.answer
    for secret in (KEY, SECRET):
        assert secret not in error.reason
        assert secret not in error.answer
        assert secret not in repr(error)
        assert secret not in caplog.text


# Its words


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "429 Slow", "500 Oops", "504 Late", "302 Away", "200 OK"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Bad request"}', '{"message": "Bad request"}'),
        ("<html>ой</html>\n".encode(), "<html>ой</html>"),
        (b"nul \0, broken \xff", "nul \ufffd, broken \ufffd"),
        (b"x" * 501, "x" * 499 + "…"),
        (b"", None),
    ],
)
async def test_what_it_said_is_kept(dadata: Make, status: str, body: bytes, words: str | None) -> None:
    async with Peer(answering(answer(body, status=status))) as peer:
        assert (await failure(dadata(peer.url))).answer == words


@pytest.mark.parametrize("before", range(480, 501, 4))
async def test_no_half_of_a_key_is_kept_where_words_are_cut(dadata: Make, before: int) -> None:
    async with Peer(answering(answer(b" " * 9 + b"x" * before + KEY.encode(), status="401 No"))) as peer:
        answered = (await failure(dadata(peer.url))).answer
    assert answered is not None
    assert answered.rstrip("*…") == "x" * min(before, 499)


async def test_it_said_nothing_where_nothing_complete_came(dadata: Make) -> None:
    assert (await failure(dadata("http://127.0.0.1:1/"))).answer is None
    async with Peer(once(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhalf")) as peer:
        assert (await failure(dadata(peer.url))).answer is None


# The examples, over the wire

EXAMPLES = [
    ("phone", "раб 846)231.60.14 *139", 0),
    ("phone", "+79851234567", 0),
    ("phone", "9168-233-454", 0),
    ("phone", "8 800 555-35-35", 0),
    ("phone", "+7 495 000-00-01", 0),
    ("phone", "+7 846 000-00-02", 0),
    ("phone", "+7 846 000-00-03", 0),
    ("phone", "+7 999 000-00-00", 0),
    ("phone", "+123", 1),
    ("phone", "231-60-14", 1),
    ("phone", "не телефон", 2),
    ("phone", " ", 2),
    ("phone", "+79851234567, +79161234567", 3),
    ("phone", "+375123456789", 7),
    ("email", "anderson@matrix.ru", 0),
    ("email", "serega@yandex.ru", 0),
    ("email", "info@matrix.ru", 0),
    ("email", "serega@", 1),
    ("email", "привет", 2),
    ("email", "anyone@mailinator.com", 3),
    ("email", "serega@yandex/ru", 4),
]
PHONE_FIELDS = (
    "source type phone country_code city_code number extension provider country region city timezone qc_conflict qc"
)


@pytest.mark.parametrize(("kind", "source", "qc"), EXAMPLES)
async def test_an_example_comes_back_untouched(sandbox: Remote, dadata: Make, kind: str, source: str, qc: int) -> None:
    url = f"{sandbox.base}/dadata/api/v1/clean/{kind}"
    headers = {"Authorization": "Token k", "X-Secret": "s"}
    raw: dict[str, Any] = json.loads((await sandbox.http.post(url, headers=headers, json=[source])).content)[0]

    got = await dadata(url, kind).ask(source)

    assert isinstance(got, dict)
    assert list(got.items()) == list(raw.items())
    assert (got["source"], got["qc"]) == (source, qc)
    assert list(got) == (PHONE_FIELDS if kind == "phone" else "source email local domain type qc").split()


async def test_the_published_phone_word_for_word(sandbox: Remote, dadata: Make) -> None:
    assert await dadata(f"{sandbox.base}/dadata/api/v1/clean/phone").ask("раб 846)231.60.14 *139") == {
        "source": "раб 846)231.60.14 *139",
        "type": "Стационарный",
        "phone": "+7 846 231-60-14 доб. 139",
        "country_code": "7",
        "city_code": "846",
        "number": "2316014",
        "extension": "139",
        "provider": 'ООО "СИПАУТНЭТ"',
        "country": "Россия",
        "region": "Самарская область",
        "city": "Самара",
        "timezone": "UTC+4",
        "qc_conflict": 0,
        "qc": 0,
    }
