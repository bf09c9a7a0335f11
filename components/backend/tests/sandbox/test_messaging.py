"""Telegram, Slack, webhooks, the Python bot, Twilio and SMSAero as their clients see them; and the inbox."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from sandbox.sms import parts

BOT = "/telegram/bot123456789:AAExample"
ACCOUNT, TOKEN = "AC" + "a" * 32, "0123456789abcdef"
MESSAGES = f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
FORM = {"To": "+79161234567", "From": "+15005550006", "Body": "Тест"}
LOGIN = (ACCOUNT, TOKEN)
AERO = ("you@example.com", "key-0123456789")
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def inbox(sandbox: Any, **query: Any) -> list[dict[str, Any]]:
    return (await sandbox.http.get("/control/inbox", params=query)).json()["messages"]


# Telegram


async def test_a_message_by_json_form_and_query(sandbox):
    fields = {"chat_id": "987654321", "text": "Пожарная тревога"}
    answers = [
        await sandbox.http.post(f"{BOT}/sendMessage", json=fields | {"chat_id": 987654321}),
        await sandbox.http.post(f"{BOT}/sendMessage", data=fields),
        await sandbox.http.get(f"{BOT}/sendMessage", params=fields),
    ]
    for number, answer in enumerate(answers, 1):
        assert answer.status_code == 200
        result = answer.json()["result"]
        assert result["message_id"] == number
        assert (result["chat"], result["text"]) == ({"id": 987654321, "type": "private"}, "Пожарная тревога")
    assert [message["to"] for message in await inbox(sandbox)] == ["987654321"] * 3


@pytest.mark.parametrize(
    ("fields", "status", "description", "parameters"),
    [
        ({"text": "x"}, 400, "chat_id is empty", None),
        ({"chat_id": 1}, 400, "message text is empty", None),
        ({"chat_id": 1, "text": "я" * 4097}, 400, "message is too long", None),
        ({"chat_id": 404404, "text": "x"}, 400, "chat not found", None),
        ({"chat_id": 403403, "text": "x"}, 403, "blocked by the user", None),
        ({"chat_id": -400, "text": "x"}, 400, "upgraded", {"migrate_to_chat_id": -1001234567890}),
        ({"chat_id": 429429, "text": "x"}, 429, "retry after 3", {"retry_after": 3}),
    ],
)
async def test_errors_of_telegram(sandbox, fields, status, description, parameters):
    answer = await sandbox.http.post(f"{BOT}/sendMessage", json=fields)
    body = answer.json()
    assert (answer.status_code, body["ok"], body["error_code"]) == (status, False, status)
    assert description in body["description"]
    assert body.get("parameters") == parameters
    assert await inbox(sandbox) == []


async def test_a_bot_that_is_not_known(sandbox):
    answer = await sandbox.http.post("/telegram/bot1:unknown/sendMessage", json={"chat_id": 1, "text": "x"})
    assert (answer.status_code, answer.json()["description"]) == (401, "Unauthorized")
    await sandbox.settings("telegram", known_tokens=["7:A"])
    assert (await sandbox.http.get(f"{BOT}/getMe")).status_code == 401
    assert (await sandbox.http.get("/telegram/bot7:A/getMe")).json()["result"]["id"] == 7


async def test_limits_of_telegram(sandbox):
    await sandbox.settings("telegram", per_chat_per_second=1)

    async def send(chat: int) -> httpx.Response:
        return await sandbox.http.post(f"{BOT}/sendMessage", json={"chat_id": chat, "text": "x"})

    answers = [await send(1), await send(2), await send(1)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["parameters"]["retry_after"] == 1


async def test_what_people_write_to_a_bot(sandbox):
    person = {"token": "123456789:AAExample", "chatId": 55, "text": "/start abc", "firstName": "Анна"}
    assert (await sandbox.http.post("/control/telegram/messages", json=person)).status_code == 200
    (update,) = (await sandbox.http.post(f"{BOT}/getUpdates", json={"offset": 0})).json()["result"]
    assert update["message"]["text"] == "/start abc"
    assert update["message"]["chat"] == {"id": 55, "type": "private"}
    assert update["message"]["from"]["first_name"] == "Анна"
    after = {"offset": update["update_id"] + 1}
    assert (await sandbox.http.post(f"{BOT}/getUpdates", json=after)).json()["result"] == []
    assert (await sandbox.http.post("/telegram/bot1:B/getUpdates")).json()["result"] == []
    bad = await sandbox.http.post("/control/telegram/messages", json={"token": "x", "chatId": "y"})
    assert bad.status_code == 422


async def test_a_long_poll_ends_with_the_news(sandbox, until: Until):
    poll = asyncio.ensure_future(sandbox.http.post(f"{BOT}/getUpdates", json={"timeout": 30}, timeout=25))

    async def waits() -> bool:
        return bool(await sandbox.journal(operation="getUpdates"))

    await until(waits)
    await sandbox.http.post("/control/telegram/messages", json={"token": "123456789:AAExample", "chatId": 5})
    assert [update["message"]["text"] for update in (await poll).json()["result"]] == ["/start"]
    none = await sandbox.http.post(f"{BOT}/getUpdates", json={"timeout": 0, "offset": 99})
    assert none.json() == {"ok": True, "result": []}


# Slack, webhooks, the bot


@pytest.mark.parametrize("by_form", [False, True])
async def test_slack(sandbox, by_form):
    payload = {"text": "a &lt;b&gt; &amp; c", "channel": "#alerts", "username": "Гонец"}
    request = {"data": {"payload": json.dumps(payload)}} if by_form else {"json": payload}
    answer = await sandbox.http.post("/slack/services/T000/B000/XXX", **request)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["content-type"].startswith("text/plain")
    (message,) = await inbox(sandbox, provider="slack")
    assert (message["to"], message["sender"], message["text"]) == ("#alerts", "Гонец", "a <b> & c")


@pytest.mark.parametrize(
    ("secret", "body", "status", "word"),
    [
        ("XXX", b"{", 400, "invalid_payload"),
        ("XXX", b"{}", 400, "no_text"),
        ("XXX", b'{"text":" "}', 400, "no_text"),
        ("XXX", b'{"text":"x","channel":"#missing"}', 404, "channel_not_found"),
        ("XXX", b'{"text":"x","channel":"#archived"}', 410, "channel_is_archived"),
        ("unknown", b'{"text":"x"}', 404, "no_service"),
        ("revoked", b'{"text":"x"}', 403, "invalid_token"),
    ],
)
async def test_errors_of_slack(sandbox, secret, body, status, word):
    answer = await sandbox.http.post(f"/slack/services/T000/B000/{secret}", content=body)
    assert (answer.status_code, answer.text) == (status, word)


async def test_what_guides_write_in_the_place_of_a_secret(sandbox):
    answer = await sandbox.http.post("/slack/services/...", json={"text": "x"})
    assert (answer.status_code, answer.text) == (200, "ok")
    assert (await sandbox.http.post("/slack/elsewhere", json={"text": "x"})).text == "no_team"


async def test_slacks_limit(sandbox):
    await sandbox.settings("slack", per_second=1)
    answers = [await sandbox.http.post("/slack/services/T/B/X", json={"text": "x"}) for _ in range(2)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok"), (429, "rate_limited")]
    assert answers[1].headers["retry-after"] == "1"


async def test_webhooks(sandbox):
    payload = {"serviceName": "Магазин", "message": "упал", "metadata": {"a": [1]}}
    answer = await sandbox.http.put("/webhook/a/b?c=1", json=payload, headers={"X-Custom": "7"})
    assert answer.json() == {"received": True}
    (message,) = await inbox(sandbox)
    assert (message["to"], message["sender"], message["text"]) == ("/webhook/a/b?c=1", "Магазин", "упал")
    assert (message["details"]["method"], message["details"]["payload"]) == ("PUT", payload)
    assert message["details"]["headers"]["X-Custom"] == "7"
    assert (await sandbox.http.post("/webhook/status/503")).status_code == 503
    redirect = await sandbox.http.post("/webhook/redirect/307", params={"to": "http://10.0.0.1/"})
    assert (redirect.status_code, redirect.headers["location"]) == (307, "http://10.0.0.1/")
    assert (await sandbox.http.get("/webhook/a")).status_code == 405
    assert (await sandbox.http.post("/webhook/a", content=b"x")).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (
            {"username": "ivan", "service_name": "Shop", "message": "HTTP 500"},
            200,
            {"success": True, "message": "Notification sent successfully"},
        ),
        ({"username": "ivan"}, 400, {"error": "Username и service_name обязательны"}),
        ({"service_name": "Shop"}, 400, {"error": "Username и service_name обязательны"}),
        ({"username": "unknown", "service_name": "Shop"}, 404, {"error": "User not found or not registered"}),
        ({"username": "broken", "service_name": "Shop"}, 500, {"error": "Internal server error"}),
    ],
)
async def test_the_bot(sandbox, body, status, answer):
    got = await sandbox.http.post("/bot/send_notification", json=body)
    assert (got.status_code, got.json()) == (status, answer)
    assert len(await inbox(sandbox)) == (status == 200)


async def test_what_else_the_bot_does(sandbox):
    assert (await sandbox.http.get("/bot/health")).json()["status"] == "healthy"
    link = (await sandbox.http.post("/bot/generate_link", json={"username": "ivan", "token": "abc"})).json()
    assert link == {
        "link": "https://t.me/sandbox_bot?start=abc",
        "token": "abc",
        "bot_username": "sandbox_bot",
        "already_linked": False,
    }
    assert (await sandbox.http.post("/bot/nothing")).status_code == 404


# Twilio


@dataclass
class Receiver:
    """Takes status callbacks, and has Twilio's own validator look at them."""

    url: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    forged: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        signature = request.headers["X-Twilio-Signature"]
        right = RequestValidator(TOKEN).validate(str(request.url), fields, signature)
        (self.calls if right else self.forged).append(fields)
        return web.Response(status=204)

    @property
    def statuses(self) -> list[str]:
        return [call["MessageStatus"] for call in self.calls]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/callbacks/{rest:.*}", receiver.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks/n-1-1?a=1&b=%D1%8F"
    yield receiver
    await runner.cleanup()


async def test_a_message_is_taken(sandbox):
    answer = await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM)
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["twilio-request-id"].startswith("RQ")
    assert (body["status"], body["to"], body["from"], body["body"]) == ("queued", FORM["To"], FORM["From"], "Тест")
    assert (body["num_segments"], body["direction"], body["price"], body["date_sent"]) == (
        "1",
        "outbound-api",
        None,
        None,
    )
    assert len(body["sid"]) == 34
    assert body["uri"] == f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{body['sid']}.json"
    (message,) = await inbox(sandbox)
    assert (message["to"], message["text"], message["details"]["parts"]) == (FORM["To"], "Тест", 1)


async def test_a_messaging_service(sandbox):
    form = {"To": FORM["To"], "Body": "x", "MessagingServiceSid": "MG1"}
    body = (await sandbox.http.post(MESSAGES, auth=LOGIN, data=form)).json()
    assert (body["status"], body["from"], body["num_segments"], body["messaging_service_sid"]) == (
        "accepted",
        None,
        "0",
        "MG1",
    )


@pytest.mark.parametrize(
    ("login", "form", "status", "code"),
    [
        (("AC" + "b" * 32, TOKEN), FORM, 401, 20003),
        ((ACCOUNT, "unknown"), FORM, 401, 20003),
        (None, FORM, 401, 20003),
        (LOGIN, {**FORM, "To": ""}, 400, 21604),
        (LOGIN, {**FORM, "To": "12345"}, 400, 21211),
        (LOGIN, {**FORM, "To": "89161234567"}, 400, 21211),
        (LOGIN, {**FORM, "From": ""}, 400, 21603),
        (LOGIN, {**FORM, "Body": ""}, 400, 21602),
        (LOGIN, {**FORM, "Body": "я" * 1601}, 400, 21617),
        (LOGIN, {**FORM, "From": "+15005550001"}, 400, 21212),
        (LOGIN, {**FORM, "From": "+15005550007"}, 400, 21606),
        (LOGIN, {**FORM, "From": "+15005550008"}, 400, 21611),
        (LOGIN, {**FORM, "To": "+15005550001"}, 400, 21211),
        (LOGIN, {**FORM, "To": "+15005550002"}, 400, 21612),
        (LOGIN, {**FORM, "To": "+15005550003"}, 400, 21408),
        (LOGIN, {**FORM, "To": "+15005550004"}, 400, 21610),
        (LOGIN, {**FORM, "To": "+15005550009"}, 400, 21614),
        (LOGIN, {**FORM, "StatusCallback": "x"}, 400, 21609),
    ],
)
async def test_errors_of_twilio(sandbox, login, form, status, code):
    answer = await sandbox.http.post(MESSAGES, auth=login, data=form)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.json()["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert await inbox(sandbox) == []


async def test_an_api_key_and_a_chosen_token(sandbox):
    await sandbox.settings("twilio", auth_token="right")
    assert (await sandbox.http.post(MESSAGES, auth=("SK1", "right"), data=FORM)).status_code == 201
    assert (await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM)).status_code == 401


async def test_how_many_at_one_time(sandbox):
    await sandbox.settings("twilio", max_concurrent=2, early_ms=3000)
    answers = await asyncio.gather(*(sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 429, 429]
    assert next(answer for answer in answers if answer.status_code == 429).json()["code"] == 20429


@pytest.mark.parametrize(
    ("end", "statuses", "error"),
    [
        ("1234", ["sending", "sent", "delivered"], None),
        ("3000", ["sending", "sent"], None),
        ("3003", ["sending", "sent", "undelivered"], "30003"),
        ("3005", ["sending", "failed"], "30005"),
    ],
)
async def test_callbacks(sandbox, receiver, until: Until, end, statuses, error):
    await sandbox.settings("twilio", step_ms=0)
    form = FORM | {"To": f"+7916123{end}", "StatusCallback": receiver.url}
    sid = (await sandbox.http.post(MESSAGES, auth=LOGIN, data=form)).json()["sid"]

    async def told() -> bool:
        return len(receiver.calls) == len(statuses)

    await until(told)
    assert (receiver.statuses, receiver.forged) == (statuses, [])
    last = receiver.calls[-1]
    assert (last["MessageSid"], last["SmsSid"], last["SmsStatus"], last.get("ErrorCode")) == (
        sid,
        sid,
        statuses[-1],
        error,
    )
    fetched = (await sandbox.http.get(MESSAGES.replace(".json", f"/{sid}.json"), auth=LOGIN)).json()
    assert (fetched["status"], fetched["error_code"]) == (statuses[-1], error and int(error))
    assert (fetched["date_sent"] is None) is ("sent" not in statuses)


@pytest.mark.parametrize(
    ("manner", "right", "forged"),
    [
        ("reversed", ["delivered", "sent", "sending"], 0),
        ("repeated", ["sending", "sending", "sent", "sent", "delivered", "delivered"], 0),
        ("forged", ["sending", "sent", "delivered"], 3),
    ],
)
async def test_manners_of_calling_back(sandbox, receiver, until: Until, manner, right, forged):
    await sandbox.settings("twilio", step_ms=0, callbacks=manner)
    await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM | {"StatusCallback": receiver.url})

    async def told() -> bool:
        return len(receiver.calls) == len(right)

    await until(told)
    assert receiver.statuses == right
    assert [call["MessageStatus"] for call in receiver.forged] == ["delivered"] * forged


async def test_a_callback_before_the_answer(sandbox, receiver, until: Until):
    await sandbox.settings("twilio", step_ms=0, early_ms=3000)
    answering = asyncio.ensure_future(
        sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM | {"StatusCallback": receiver.url})
    )

    async def told() -> bool:
        assert not answering.done()
        return bool(receiver.calls)

    await until(told)
    assert (await answering).status_code == 201


async def test_lists_and_pages(sandbox):
    for number in range(5):
        await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM | {"Body": f"{number}"})
    await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM | {"To": "+79160000000"})
    page = (await sandbox.http.get(MESSAGES, auth=LOGIN, params={"To": FORM["To"], "PageSize": 3})).json()
    assert [message["body"] for message in page["messages"]] == ["4", "3", "2"]
    following = (await sandbox.http.get("/twilio" + page["next_page_uri"], auth=LOGIN)).json()
    assert [message["body"] for message in following["messages"]] == ["1", "0"]
    assert following["next_page_uri"] is None


async def test_messages_are_cancelled_and_redacted(sandbox):
    await sandbox.settings("twilio", step_ms=60_000)
    sid = (await sandbox.http.post(MESSAGES, auth=LOGIN, data=FORM)).json()["sid"]
    at = MESSAGES.replace(".json", f"/{sid}.json")
    assert (await sandbox.http.post(at, auth=LOGIN, data={"Body": ""})).json()["body"] == ""
    assert (await sandbox.http.post(at, auth=LOGIN, data={"Status": "canceled"})).json()["status"] == "canceled"
    assert (await sandbox.http.post(at, auth=LOGIN, data={"Body": "x"})).status_code == 400
    assert (await sandbox.http.get(at.replace(sid, "SM0"), auth=LOGIN)).json()["code"] == 20404


# SMSAero


async def aero(sandbox: Any, path: str, login: Any = AERO, **fields: Any) -> httpx.Response:
    return await sandbox.http.post(f"/smsaero/v2/{path}", auth=login, json=fields)


async def test_an_sms_goes_its_way(sandbox):
    sent = await aero(sandbox, "sms/send", number="79161234567", text="Пожарная тревога", sign="SMS Aero")
    data = sent.json()["data"]
    assert (sent.status_code, sent.json()["success"], data["status"], data["extendStatus"]) == (200, True, 0, "queue")
    seen = [(await aero(sandbox, "sms/status", id=data["id"])).json()["data"]["status"] for _ in range(3)]
    assert seen == [3, 1, 1]
    (message,) = await inbox(sandbox)
    assert (message["to"], message["sender"], message["text"]) == ("+79161234567", "SMS Aero", "Пожарная тревога")


async def test_by_get_and_by_form(sandbox):
    fields = {"number": "79161234567", "text": "да"}
    by_get = await sandbox.http.get("/smsaero/v2/sms/send", auth=AERO, params=fields)
    by_form = await sandbox.http.post("/smsaero/v2/sms/send", auth=AERO, data=fields)
    assert [answer.json()["data"]["id"] for answer in (by_get, by_form)] == [1, 2]


@pytest.mark.parametrize(
    ("end", "seen"), [("9002", [3, 2]), ("9006", [6]), ("9008", [8, 8, 0, 3, 1]), ("9009", [8, 8])]
)
async def test_documented_numbers(sandbox, end, seen):
    number = (await aero(sandbox, "sms/send", number=f"7916123{end}", text="да")).json()["data"]["id"]
    assert [(await aero(sandbox, "sms/status", id=number)).json()["data"]["status"] for _ in seen] == seen


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"number": "123"}, 400, {"number": ["incorrect"]}),
        ({"number": "+79161234567"}, 400, {"number": ["incorrect"]}),
        ({"number": "79161239001"}, 400, {"number": ["incorrect"]}),
        ({"text": "x"}, 400, {"text": ["incorrect"]}),
        ({"text": "x" * 641}, 400, {"text": ["incorrect"]}),
        ({"sign": "unknown"}, 400, {"sign": ["incorrect"]}),
    ],
)
async def test_errors_of_smsaero(sandbox, fields, status, body):
    answer = await aero(sandbox, "sms/send", **{"number": "79161234567", "text": "да", **fields})
    assert (answer.status_code, answer.json()) == (
        status,
        {"success": False, "data": body, "message": "Validation error."},
    )
    assert await inbox(sandbox) == []


async def test_who_may_send(sandbox):
    for login in (None, ("you@example.com", "unknown")):
        answer = await aero(sandbox, "auth", login=login)
        assert (answer.status_code, answer.json()["message"]) == (
            401,
            "Your request was made with invalid credentials.",
        )
    assert (await aero(sandbox, "auth")).json()["message"] == "Successful authorization."
    assert (await aero(sandbox, "balance")).json()["data"] == {"balance": 1389.26}
    await sandbox.settings("smsaero", balance=0)
    assert (await aero(sandbox, "sms/send", number="79161234567", text="да")).json() == {"result": "no credits"}


async def test_the_list(sandbox):
    for text in ("раз", "два"):
        await aero(sandbox, "sms/send", number="79161234567", text=text)
    await aero(sandbox, "sms/send", number="79160000000", text="раз")
    data = (await aero(sandbox, "sms/list", number="79161234567", text="раз")).json()["data"]
    assert (data["0"]["text"], data["totalCount"], "1" in data) == ("раз", "1", False)


async def test_a_test_reaches_nobody(sandbox):
    assert (await aero(sandbox, "sms/testsend", number="79161234567", text="да")).json()["success"]
    assert await inbox(sandbox) == []


# All of them


async def test_the_inbox_shows_what_people_see(sandbox):
    assert "Nothing has come yet" in (await sandbox.http.get("/inbox")).text
    await sandbox.http.post(f"{BOT}/sendMessage", json={"chat_id": 1, "text": "<b>жирный</b> 😀"})
    await sandbox.http.post(f"{BOT}/sendMessage", content=b'{"chat_id":2,"text":"\\ud800"}', headers=JSON)
    page = await sandbox.http.get("/inbox")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;b&gt;жирный&lt;/b&gt; 😀" in page.text
    assert "Telegram bots" in page.text
    assert page.text.index("→ 2") < page.text.index("→ 1"), "the newest first"
    assert [message["to"] for message in await inbox(sandbox, to="2")] == ["2"]
    assert (await sandbox.http.get("/control/inbox", params={"colour": "x"})).status_code == 422
    await sandbox.http.delete("/control/inbox")
    assert await inbox(sandbox) == []


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("provider", ["telegram", "slack", "webhook", "python_bot", "twilio", "smsaero"])
@pytest.mark.parametrize(("kind", "taken"), [("garbage", 1), ("429", 0)])
async def test_a_lost_answer_means_a_message_taken(sandbox, provider, kind, taken):
    basic = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "telegram": (f"{BOT}/sendMessage", {"json": {"chat_id": 1, "text": "x"}}),
        "slack": ("/slack/services/T/B/X", {"json": {"text": "x"}}),
        "webhook": ("/webhook/x", {"json": {"message": "x"}}),
        "python_bot": ("/bot/send_notification", {"json": {"username": "i", "service_name": "s", "message": "x"}}),
        "twilio": (MESSAGES, {"data": FORM | {"Body": "x"}, "headers": {"Authorization": f"Basic {basic}"}}),
        "smsaero": ("/smsaero/v2/sms/send", {"json": {"number": "79161234567", "text": "xx"}, "auth": AERO}),
    }
    path, request = asked[provider]
    await sandbox.fault(provider, kind=kind)
    await sandbox.http.post(path, **request)
    assert len(await inbox(sandbox, provider=provider)) == taken
    (entry,) = await sandbox.journal(provider=provider)
    assert (entry["outcome"], entry["input"]) == ("faulted", "xx" if provider == "smsaero" else "x")
    assert TOKEN not in json.dumps(entry)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 67, 3),
    ],
)
def test_what_an_sms_is_charged_as(text, count):
    assert parts(text) == count


async def test_nobody_answers_where_nothing_was_sent(sandbox):
    reply = {"sender": "+79161234567", "text": "STOP"}
    for provider in ("twilio", "smpp", "telegram"):
        answer = await sandbox.http.post(f"/control/replies/{provider}", json=reply)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "provider")
    assert (await sandbox.http.post("/control/replies/twilio", json={"text": "STOP"})).status_code == 422
    assert (await sandbox.http.post("/control/replies/nobody", json=reply)).status_code == 404
