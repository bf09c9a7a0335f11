"""One message to one person, as its sender sees it: real processes, real servers, and the sandbox's inbox."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from typing import Any

import httpx

from acceptance.clients import queues_of, until
from acceptance.stack import free_port

REQUESTS = "NotificationRequestQueue"
DEAD_REQUESTS = "NotificationRequestQueue.dead"
RESULTS = "NotificationResultQueue"
FINAL = {"sent", "delivered", "undelivered", "failed", "expired", "suppressed", "cancelled", "unknown"}
PHONE = "+79161234567"


class Service:
    """The installation with an account that has just signed up; the operator's channels lead to the sandbox."""

    def __init__(self, installation, *, workers=1, **variables):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        common: dict[str, object] = {
            "ENVIRONMENT": "development",
            "SANDBOX_HOST": "127.0.0.1",
            "PUBLIC_URL": self.url,
            "NOTIFICATIONS_FIRST_DELAY": 0.2,
        }
        common |= variables
        self.installation = installation
        installation.start("sandbox")
        self.workers = [installation.launch("worker", **common) for _ in range(workers)]
        installation.launch("scheduler", **common)
        installation.start("api", **(common | {"API_PORT": port}))
        for worker in self.workers:
            worker.logged("NotificationDispatchQueue")
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.sandbox = httpx.AsyncClient(base_url=installation.sandbox_url, timeout=20)

    async def sign_up(self):
        async def signed_up():
            answer = await self.http.post(
                "/api/v1/auth/signup", json={"email": "anna@example.com", "password": "correct horse battery"}
            )
            return answer if answer.status_code == 201 else None

        answer = await until(signed_up, "an account")
        self.http.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"

    async def post(self, path, body=None, status=202, **headers) -> Any:
        answer = await self.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, number) -> dict[str, Any]:
        answer = await self.http.get(f"/api/v1/notifications/{number}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ended(self, number, *, timeout=120.0) -> dict[str, Any]:
        async def look():
            found = await self.get(number)
            return found if found["finishedAt"] else None

        return await until(look, f"the end of notification {number}", timeout=timeout)

    async def inbox(self, **wanted) -> list[dict[str, Any]]:
        answer = await self.sandbox.get("/control/inbox", params={"limit": 10_000} | wanted)
        return answer.json()["messages"]

    async def close(self):
        await self.http.aclose()
        await self.sandbox.aclose()


async def test_from_sign_up_to_the_inbox_by_both_doors(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    contact = await service.post("/contacts", {"name": "Анна", "telegramChatId": "123456789"}, status=201)
    taken = await service.post(
        "/notifications", {"recipient": {"contactId": contact["id"]}, "message": "Привет, мир", "notifyResult": True}
    )
    found = await service.ended(taken["id"])
    assert (found["status"], found["channelType"]) == ("sent", "TELEGRAM")
    assert [attempt["state"] for attempt in found["attempts"]] == ["accepted"]
    [message] = await service.inbox(provider="telegram")
    assert (message["to"], message["text"]) == ("123456789", "Привет, мир")

    # Twilio reports by a signed callback; nobody else is believed.
    taken = await service.post("/notifications", {"recipient": {"phone": "8 916 123-45-67"}, "message": "Код 4711"})
    found = await service.ended(taken["id"])
    assert (found["status"], found["channelType"]) == ("delivered", "SMS_TWILIO")
    assert found["recipient"]["phone"] == PHONE

    key = await service.post("/api-keys", {"name": "program", "scopes": ["notifications"]}, status=201)
    async with queues_of(installation.servers) as queues:
        request = {"recipient": {"telegramChatId": "5"}, "message": "by queue", "notifyResult": True}
        await queues.send(request, REQUESTS, headers={"x-api-key": key["key"]}, message_id="m-1")
        await queues.send(request, REQUESTS, headers={"x-api-key": key["key"]}, message_id="m-1")
        told = [await queues.find(RESULTS, lambda _: True, "an end") for _ in range(2)]
        ends = [json.loads(message.body) for message in told]
        assert [(end["status"], end["channelId"]) for end in ends] == [("sent", 0), ("sent", 0)]
        assert [message["text"] for message in await service.inbox(provider="telegram")] == ["Привет, мир", "by queue"]

        await queues.send({"message": 5}, REQUESTS, headers={"x-api-key": key["key"]})
        await queues.send(request, REQUESTS)
        await queues.send(request, REQUESTS, headers={"x-api-key": "gnz_wrong"})
        dead = [await queues.find(DEAD_REQUESTS, lambda _: True, "a request") for _ in range(3)]
        categories = Counter(message.headers["x-gonets-category"] for message in dead)
        assert categories == {"invalid": 1, "unauthenticated": 2}
        assert not [message for message in dead if "gnz_" in str(message.headers)], "no key lies in the queue"
    await service.close()


def _signature(url: str, fields: dict[str, str], token: str) -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


async def test_a_callback_is_believed_for_its_signature_alone(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    await service.sandbox.put("/control/settings/twilio", json={"step_ms": 3_600_000})
    taken = await service.post("/notifications", {"recipient": {"phone": PHONE}, "message": "Код"})

    async def sent():
        found = await service.get(taken["id"])
        return found if found["status"] == "sent" else None

    [attempt] = (await until(sent, "sent"))["attempts"]
    path = f"/api/v1/callbacks/twilio/{attempt['reference']}"
    fields = {"MessageSid": attempt["providerId"], "MessageStatus": "undelivered", "ErrorCode": "30005"}

    async def call(query="", token="sandbox", signed_for=None, reference_path=path):
        url = f"{service.url}{reference_path}{query}"
        signature = _signature(signed_for or url, fields, token)
        answer = await service.http.post(url, data=fields, headers={"X-Twilio-Signature": signature})
        return answer.status_code

    assert await call(token="guessed") == 403
    assert await call(query="?a=1", signed_for=f"{service.url}{path}") == 403
    assert await call(reference_path=f"{path}0") == 404
    fields["MessageStatus"] = "teleported"
    assert await call() == 204
    assert (await service.get(taken["id"]))["status"] == "sent"
    fields["MessageStatus"] = "undelivered"
    assert await call(query="?a=1&b=%20") == 204
    assert (await service.ended(taken["id"]))["status"] in {"undelivered", "failed", "delivered"}
    before = (await service.get(taken["id"]))["attempts"][0]
    assert (before["state"], before["code"]) == ("undelivered", "30005")
    fields["MessageStatus"] = "sent"
    assert await call() == 204
    assert (await service.get(taken["id"]))["attempts"][0] == before
    await service.close()


async def test_a_killed_worker_loses_nothing_and_sends_nothing_twice(installation):
    """SIGKILL with sends under way: each notification ends in one final state, and no channel had it twice."""
    service = await asyncio.to_thread(
        Service,
        installation,
        workers=2,
        SCHEDULER_DEAD_AFTER=3,
        NOTIFICATIONS_FIRST_INQUIRY=1,
        NOTIFICATIONS_FIRST_REMINDER=5,  # of callbacks that a busy machine did not take
        NOTIFICATIONS_GRACE=30,
    )
    await service.sign_up()
    await service.sandbox.put("/control/faults/twilio", json={"latency_ms": [100, 600]})
    await service.sandbox.put("/control/faults/telegram", json={"latency_ms": [100, 600]})
    people = [{"phone": PHONE}, {"telegramChatId": "7"}]
    bodies = [{"recipient": people[number % 2], "message": f"message {number}"} for number in range(80)]

    async def hand_in(body):
        return (await service.post("/notifications", body))["id"]

    numbers = await asyncio.gather(*map(hand_in, bodies))
    # In the middle: some were taken by a provider, most were not.
    await until(lambda: _some(service), "some messages")
    service.workers[0].kill()
    ends = await asyncio.gather(*(service.ended(number, timeout=120) for number in numbers))
    inbox = Counter(message["text"] for message in await service.inbox())
    assert {end["status"] for end in ends} <= FINAL
    assert [text for text, times in inbox.items() if times > 1] == []
    for body, end in zip(bodies, ends, strict=True):
        # What nobody can tell is said so; everything else is as it says.
        if end["status"] != "unknown":
            assert inbox[body["message"]] == 1, end
    # Twilio can be asked: of its messages nothing stays unknown.
    assert {end["status"] for end in ends[::2]} == {"delivered"}
    await service.close()


async def _some(service):
    return len(await service.inbox()) >= 10


CREATE = {"twilio": "create", "smsaero": "send", "smpp": "submit_sm"}


class LostAnswers:
    """A provider whose answers to sends get lost; `send` is one message by it, and what has become of it."""

    def __init__(self, service, provider, route):
        self.service = service
        self.provider = provider
        self.route = route

    async def send(self, kind):
        fault = {"kind": kind, "times": 1, "operation": CREATE[self.provider]}
        answer = await self.service.sandbox.put(f"/control/faults/{self.provider}", json=fault)
        assert answer.status_code == 200, answer.text
        body = {"recipient": {"phone": PHONE}, "message": f"{self.provider} {kind}", "route": self.route}
        found = await self.service.ended((await self.service.post("/notifications", body))["id"])
        events = [[event["what"] for event in attempt["events"]] for attempt in found["attempts"]]
        messages = await self.service.inbox(provider=self.provider)
        return found["status"], events, [message["text"] for message in messages].count(body["message"])


async def _route(service, channel_type, configuration):
    body = {"name": channel_type, "type": channel_type, "configuration": configuration}
    return [(await service.post("/notifications/channels", body, status=201))["id"]]


async def test_a_send_whose_answer_was_lost_is_asked_for_and_not_repeated(installation):
    """By those who can be asked: what they took is found, and only what they never had is sent again."""
    service = await asyncio.to_thread(
        Service,
        installation,
        PUBLIC_URL="",  # else Twilio's callback says it first
        NOTIFICATIONS_FIRST_INQUIRY=1,
        NOTIFICATIONS_GRACE=3,
    )
    await service.sign_up()
    twilio = {"accountSid": "AC" + "a" * 32, "authToken": "t", "from": "+15005550006"}
    routes = {
        "twilio": await _route(service, "SMS_TWILIO", twilio),
        "smsaero": await _route(service, "SMS_SMSAERO", {"email": "you@example.com", "apiKey": "k"}),
    }

    async def lost(provider):
        through = LostAnswers(service, provider, routes[provider])
        for kind in ("reset", "hang"):
            status, events, times = await through.send(kind)
            assert (status, times) == ("delivered", 1), (provider, kind, events)
            [story] = events
            assert story[0] == "unknown", (provider, kind, story)
        asked = await service.sandbox.get("/control/journal", params={"provider": provider, "operation": "list"})
        assert len(asked.json()["entries"]) >= 2
        status, events, times = await through.send("reset_before")
        assert (status, times, len(events)) == ("delivered", 1, 2), (provider, events)

    await asyncio.gather(*map(lost, routes))
    await service.close()


async def test_a_send_whose_answer_was_lost_by_one_who_cannot_be_asked_is_held(installation):
    """An SMS centre is asked by the very number that got lost: better not at all than twice. Where only a receipt is
    missing, it is asked."""
    service = await asyncio.to_thread(Service, installation, NOTIFICATIONS_GRACE=3, NOTIFICATIONS_FIRST_REMINDER=1)
    await service.sign_up()
    centre = {"host": "127.0.0.1", "port": installation.sandbox_smpp, "sourceAddress": "Gonets"}
    route = await _route(service, "SMS_SMPP", centre | {"systemId": "gonets", "password": "secret"})
    status, events, times = await LostAnswers(service, "smpp", route).send("reset")
    assert (status, times, len(events)) == ("unknown", 1, 1), events

    body = {"recipient": {"phone": "+79161230004"}, "message": "no receipt comes", "route": route}
    found = await service.ended((await service.post("/notifications", body))["id"])
    assert (found["status"], len(found["attempts"])) == ("delivered", 1)
    asked = await service.sandbox.get("/control/journal", params={"provider": "smpp", "operation": "query_sm"})
    assert asked.json()["entries"]
    await service.close()


async def test_a_channel_tests_itself_and_shows_what_came_of_it(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    configuration = {"botToken": "123456789:AAExample", "chatId": "987654321"}
    body = {"name": "Alarm", "type": "TELEGRAM", "configuration": configuration, "selfTestEvery": 60}
    path = f"/notifications/channels/{(await service.post('/notifications/channels', body, status=201))['id']}"

    async def tested():
        return (await service.http.get(f"/api/v1{path}")).json()["lastTest"]

    found = await until(tested, "a test")
    assert (found["ok"], found["step"], found["reason"]) == (True, None, None)
    [message] = await service.inbox(provider="telegram")
    assert "Gonets" in message["text"]
    await service.close()


async def test_a_template_says_what_it_said_when_it_was_handed_in(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    body = 'Здравствуйте, {{ name | default("друг") }}! Ваш город: {{ city }}'
    template = await service.post("/templates", {"name": "city", "body": body}, status=201)
    contact = await service.post("/contacts", {"name": "Анна", "telegramChatId": "123456789"}, status=201)
    request = {"contactId": contact["id"], "template": template["id"], "variables": {"city": "Тверь"}, "send": False}
    taken = await service.post("/notifications", request, **{"Idempotency-Key": "k"})
    assert taken["message"] == "Здравствуйте, Анна! Ваш город: Тверь"
    assert (await service.post("/notifications", request, **{"Idempotency-Key": "k"}))["id"] == taken["id"]
    other = request | {"variables": {"city": "Омск"}}
    await service.post("/notifications", other, status=409, **{"Idempotency-Key": "k"})
    problem = await service.post("/notifications", request | {"variables": {}}, status=422)
    assert [error["field"] for error in problem["errors"]] == ["variables.city"]

    assert (await service.http.delete(f"/api/v1/templates/{template['id']}")).status_code == 204
    await service.post("/notifications/send", {"ids": [taken["id"]]})
    assert (await service.ended(taken["id"]))["status"] == "sent"
    assert [message["text"] for message in await service.inbox()] == ["Здравствуйте, Анна! Ваш город: Тверь"]

    # By queue the same JSON, and the same refusal.
    await service.post("/templates", {"name": "by queue", "body": "Код {{ code }}"}, status=201)
    key = await service.post("/api-keys", {"name": "program", "scopes": ["notifications"]}, status=201)
    async with queues_of(installation.servers) as queues:
        by_queue = {"recipient": {"telegramChatId": "5"}, "template": "by queue"}
        await queues.send(by_queue, REQUESTS, headers={"x-api-key": key["key"]})
        dead = await queues.find(DEAD_REQUESTS, lambda _: True, "a request")
        assert "variables.code" in dead.headers["x-gonets-reason"]
        await queues.send(by_queue | {"variables": {"code": 4711}}, REQUESTS, headers={"x-api-key": key["key"]})

    async def arrived():
        return [one for one in await service.inbox(provider="telegram", to="5") if one["text"] == "Код 4711"]

    await until(arrived, "the message that came by queue")
    await service.close()


async def test_nothing_goes_to_who_answered_stop(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    incoming = f"{service.url}/api/v1/callbacks/twilio/0/incoming"
    await service.sandbox.put("/control/settings/twilio", json={"step_ms": 1, "incoming_url": incoming})

    async def suppressed():
        return (await service.http.get("/api/v1/suppressions", params={"address": PHONE})).json()["suppressions"]

    async def send(**request):
        taken = await service.post("/notifications", {"recipient": {"phone": PHONE}, "message": "Акция"} | request)
        return await service.ended(taken["id"])

    async def reply(text, provider="twilio"):
        answer = await service.sandbox.post(f"/control/replies/{provider}", json={"sender": PHONE, "text": text})
        assert answer.status_code == 200, answer.text

    assert (await send())["status"] == "delivered"
    assert (await service.http.post(incoming, data={"From": PHONE, "Body": "STOP"})).status_code == 403
    assert (await service.http.post(incoming.replace("/0/", "/77/"), data={})).status_code == 404
    await reply("Спасибо!")
    await reply(" Стоп. ")
    [entry] = await until(suppressed, "the phone's suppression")
    assert (entry["kind"], entry["source"], entry["reason"]) == ("phone", "stop-reply", "answered Стоп.")
    found = await send()
    assert (found["status"], found["attempts"]) == ("suppressed", [])
    assert "must not be written to" in found["reason"]
    assert len(await service.inbox(provider="twilio")) == 1
    other = await send(recipient={"phone": PHONE, "telegramChatId": "5"})
    assert (other["status"], other["channelType"]) == ("sent", "TELEGRAM")

    await reply("START")

    async def lifted():
        return not await suppressed()

    await until(lifted, "a list without the phone")
    assert (await send())["status"] == "delivered"

    async def say(text, sid):
        fields = {"MessageSid": sid, "From": PHONE, "Body": text}
        signature = _signature(incoming, fields, "sandbox")
        answer = await service.http.post(incoming, data=fields, headers={"X-Twilio-Signature": signature})
        assert answer.status_code == 200, answer.text

    await say("STOP", "SM1")
    assert await suppressed()
    await say("START", "SM2")
    await say("STOP", "SM1")
    assert not await suppressed(), "who replays an old call changes nothing"

    # By SMPP the answer comes on the session by which was sent.
    smpp = {
        "host": "127.0.0.1",
        "port": installation.sandbox_smpp,
        "systemId": "gonets",
        "password": "secret",
        "sourceAddress": "Gonets",
        "useTls": False,
    }
    made = {"name": "sms", "type": "SMS_SMPP", "configuration": smpp}
    channel = await service.post("/notifications/channels", made, status=201)
    assert (await send(route=[channel["id"]]))["status"] == "delivered"
    await reply("STOP", "smpp")
    [entry] = await until(suppressed, "the phone's suppression")
    assert entry["source"] == "stop-reply"
    assert (await send(route=[channel["id"]]))["status"] == "suppressed"
    await service.close()


async def test_who_unsubscribed_with_twilio_is_not_written_to_again(installation):
    service = await asyncio.to_thread(Service, installation)
    await service.sign_up()
    gone = "+15005550004"
    request = {"recipient": {"phone": gone}, "message": "Акция"}
    first = await service.ended((await service.post("/notifications", request))["id"])
    assert (first["status"], [attempt["code"] for attempt in first["attempts"]]) == ("suppressed", ["21610"])
    [entry] = (await service.http.get("/api/v1/suppressions")).json()["suppressions"]
    assert (entry["address"], entry["source"]) == (gone, "provider")
    second = await service.ended((await service.post("/notifications", request))["id"])
    assert (second["status"], second["attempts"]) == ("suppressed", [])
    listed = (await service.http.get("/api/v1/notifications?status=suppressed")).json()["notifications"]
    assert len(listed) == 2
    assert (await service.http.delete(f"/api/v1/suppressions/{entry['id']}")).status_code == 204
    await service.post(f"/notifications/{second['id']}/retry")
    again = await service.ended(second["id"])
    assert (again["status"], len(again["attempts"])) == ("suppressed", 1)
    await service.close()
