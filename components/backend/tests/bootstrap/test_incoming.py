"""What people write to a channel's number, by the door as bootstrap puts it together."""

from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

TOKEN = "0123456789abcdef0123456789abcdef"
CHANNEL = {
    "name": "sms",
    "type": "SMS_TWILIO",
    "configuration": {"accountSid": "AC" + "a" * 32, "authToken": TOKEN, "from": "+15005550006"},
}


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "https://gonets.example")


async def test_a_signed_message_from_nobody_is_refused_by_its_field_and_an_unsigned_one_by_its_signature(public, http):
    made = await http.post("/api/v1/notifications/channels", json=CHANNEL)
    path = f"/api/v1/callbacks/twilio/{made.json()['id']}/incoming"

    async def brought(fields, token=TOKEN):
        signature = RequestValidator(token).compute_signature(f"https://gonets.example{path}", fields)
        form = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        return await http.post(path, content=urlencode(fields), headers=form)

    assert (await brought({"From": "+79161234567", "Body": "STOP"})).status_code == 200
    nobody = await brought({"Body": "STOP"})
    assert nobody.status_code == 422, nobody.text
    assert [one["field"] for one in nobody.json()["errors"]] == ["From"]
    assert (await brought({"Body": "STOP"}, "another")).status_code == 403
