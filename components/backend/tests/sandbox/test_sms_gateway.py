"""The SMS gateway over plain HTTP, and its tokens against a vector from RFC 7515."""

import base64

import pytest

from sandbox.sms_gateway.jwt import TokenError, sign, verify

RFC_7515_A1 = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_7515_KEY = base64.urlsafe_b64decode(
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
)
MESSAGE = {"to": "+79161234567", "text": "привет"}


async def log_in(sandbox) -> dict[str, str]:
    answer = await sandbox.http.post("/sms-gateway/token", json={"login": "gonets", "password": "secret-password"})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_the_vector_of_the_standard():
    assert verify(RFC_7515_A1, RFC_7515_KEY, now=1300819379)["iss"] == "joe"
    with pytest.raises(TokenError, match="expired"):
        verify(RFC_7515_A1, RFC_7515_KEY, now=1300819380)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "malformed"),
        ("a.b", "malformed"),
        ("é.é.é", "malformed"),
        (sign({"sub": "x"}, b"k"), "malformed"),
        (sign({"exp": "later"}, b"k"), "expired"),
        (sign({"exp": True}, b"k"), "expired"),
        (sign({"exp": 100}, b"another"), "signature"),
        (sign({"exp": 100}, b"k")[:-4] + "AAAA", "signature"),
        (
            "eyJhbGciOiJub25lIn0." + sign({"exp": 100}, b"k").partition(".")[2].rpartition(".")[0] + ".",
            "algorithm",
        ),
    ],
)
def test_tokens_that_are_refused(token, reason):
    with pytest.raises(TokenError, match=reason):
        verify(token, b"k", now=50)


def test_a_token_is_good_until_its_end():
    token = sign({"exp": 100.5, "sub": "me"}, b"k")
    assert verify(token, b"k", now=100.4)["sub"] == "me"
    with pytest.raises(TokenError, match="expired"):
        verify(token, b"k", now=100.5)


async def test_a_message_goes_its_way(sandbox):
    headers = await log_in(sandbox)
    taken = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE)
    assert (taken.status_code, taken.json()["status"]) == (201, "queued")
    path = f"/sms-gateway/messages/{taken.json()['id']}"
    seen = [(await sandbox.http.get(path, headers=headers)).json()["status"] for _ in range(4)]
    assert seen == ["queued", "sent", "delivered", "delivered"]


async def test_documented_numbers(sandbox):
    headers = await log_in(sandbox)
    taken = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE | {"to": "+79160000001"})
    path = f"/sms-gateway/messages/{taken.json()['id']}"
    seen = [(await sandbox.http.get(path, headers=headers)).json()["status"] for _ in range(3)]
    assert seen == ["queued", "sent", "undelivered"]
    blocked = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE | {"to": "+79160000002"})
    assert blocked.status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"to": "+79161234567"}', b'{"to": "89161234567", "text": "1"}', b'{"to": 1, "text": "1"}']
)
async def test_bad_messages(sandbox, body):
    answer = await sandbox.http.post("/sms-gateway/messages", headers=await log_in(sandbox), content=body)
    assert answer.status_code == 422


async def test_who_may_log_in(sandbox):
    async def status(login: str, password: str) -> int:
        body = {"login": login, "password": password}
        return (await sandbox.http.post("/sms-gateway/token", json=body)).status_code

    assert [await status("unknown", "p"), await status("", "p"), await status("me", "p")] == [401, 422, 200]
    await sandbox.settings("sms_gateway", login="me", password="right")
    assert [await status("me", "p"), await status("you", "right"), await status("me", "right")] == [401, 401, 200]


async def test_no_message_without_a_good_token(sandbox):
    good = await log_in(sandbox)
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer x.y.z"}):
        answer = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    await sandbox.settings("sms_gateway", secret="rotated")
    answer = await sandbox.http.post("/sms-gateway/messages", headers=good, json=MESSAGE)
    assert (answer.status_code, answer.json()["error"]) == (401, "bad signature")


async def test_a_token_expires(sandbox):
    await sandbox.settings("sms_gateway", token_ttl_s=0)
    answer = await sandbox.http.post("/sms-gateway/messages", headers=await log_in(sandbox), json=MESSAGE)
    assert (answer.status_code, answer.json()["error"]) == (401, "token expired")


async def test_what_it_does_not_know(sandbox):
    headers = await log_in(sandbox)
    assert (await sandbox.http.get("/sms-gateway/messages/sms-999999", headers=headers)).status_code == 404
    assert (await sandbox.http.get("/sms-gateway/nothing", headers=headers)).status_code == 404


async def test_a_lost_answer_means_a_message_taken(sandbox):
    headers = await log_in(sandbox)
    await sandbox.fault("sms_gateway", kind="garbage", operation="send", times=1)
    lost = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE)
    assert lost.content.startswith(b"\xff")
    assert (await sandbox.http.get("/sms-gateway/messages/sms-000001", headers=headers)).json()["text"] == "привет"


async def test_a_refusal_means_a_message_not_taken(sandbox):
    headers = await log_in(sandbox)
    await sandbox.fault("sms_gateway", kind="status", status=503, operation="send", times=1)
    refused = await sandbox.http.post("/sms-gateway/messages", headers=headers, json=MESSAGE)
    assert (refused.status_code, refused.json()) == (503, {"error": "HTTP 503"})
    assert (await sandbox.http.get("/sms-gateway/messages/sms-000001", headers=headers)).status_code == 404


async def test_the_password_is_not_in_the_journal(sandbox):
    await log_in(sandbox)
    answer = await sandbox.http.get("/control/journal")
    assert "gonets" in answer.text
    assert "secret-password" not in answer.text
