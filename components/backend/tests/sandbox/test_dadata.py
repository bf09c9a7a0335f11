"""Dadata, asked by its own client and by plain HTTP. Expected answers are the published ones, written out."""

from http import HTTPStatus

import pytest

HEADERS = {"Authorization": "Token 0123456789abcdef", "X-Secret": "s", "Content-Type": "application/json"}
PHONE = "/dadata/api/v1/clean/phone"
MTS = 'ПАО "Мобильные ТелеСистемы"'
MOSCOW = "Москва и Московская область"
WHAT = ("source", "type", "phone", "country_code", "city_code", "number", "extension")
WHOSE = ("provider", "country", "region", "city", "timezone", "qc_conflict", "qc")
PUBLISHED_PHONES = [
    (
        ("раб 846)231.60.14 *139", "Стационарный", "+7 846 231-60-14 доб. 139", "7", "846", "2316014", "139"),
        ('ООО "СИПАУТНЭТ"', "Россия", "Самарская область", "Самара", "UTC+4", 0, 0),
    ),
    (
        ("+79851234567", "Мобильный", "+7 985 123-45-67", "7", "985", "1234567", None),
        (MTS, "Россия", MOSCOW, None, "UTC+3", 0, 0),
    ),
    (
        ("9168-233-454", "Мобильный", "+7 916 823-34-54", "7", "916", "8233454", None),
        (MTS, "Россия", MOSCOW, None, "UTC+3", 0, 0),
    ),
    (
        ("+375123456789", "Стационарный", "+375  123456789", "375", None, "123456789", None),
        (None, "Беларусь", None, None, "UTC+3", 0, 7),
    ),
    (("+123", "Неизвестный", None, None, None, None, None), (None, None, None, None, None, 0, 1)),
    (("", None, None, None, None, None, None), (None, None, None, None, None, 0, 2)),
]


@pytest.mark.parametrize(("what", "whose"), PUBLISHED_PHONES)
async def test_published_phone(dadata, what, whose):
    answer = await dadata.clean("phone", what[0])
    assert answer == dict(zip(WHAT + WHOSE, what + whose, strict=True))
    assert tuple(answer) == WHAT + WHOSE


@pytest.mark.parametrize(
    ("source", "qc", "phone"),
    [
        ("8 912 345-67-89", 0, "+7 912 345-67-89"),
        ("+7 (495) 123 45 67 доб. 12", 0, "+7 495 123-45-67 доб. 12"),
        ("8 800 555-35-35", 0, "+7 800 555-35-35"),
        ("231-60-14", 1, "+7 495 231-60-14"),
        ("12", 1, None),
        ("+999 12345678", 1, None),
        ("не телефон", 2, None),
        ("   ", 2, None),
        ("1" * 30, 2, None),
        ("+79851234567, +79161234567", 3, "+7 985 123-45-67"),
        ("+79851234567 +79161234567", 3, "+7 985 123-45-67"),
        ("89851234567 или 89161234567", 3, "+7 985 123-45-67"),
        ("+49 30 1234567", 7, "+49  301234567"),
        ("810 49 30 1234567", 7, "+49  301234567"),
        ("+7 701 123 45 67", 7, "+7 701 1234567"),
    ],
)
async def test_phone_by_rule(dadata, source, qc, phone):
    answer = await dadata.clean("phone", source)
    assert (answer["source"], answer["qc"], answer["phone"]) == (source, qc, phone)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("+79851234567", "Мобильный"),
        ("8 846 231-60-14", "Стационарный"),
        ("+7 495 000-00-01", "Прямой мобильный"),
        ("8 800 555-35-35", "Колл-центр"),
        ("+123", "Неизвестный"),
    ],
)
async def test_every_type_of_number(dadata, source, kind):
    assert (await dadata.clean("phone", source))["type"] == kind


@pytest.mark.parametrize(("source", "conflict"), [("+7 846 000-00-02", 2), ("+7 846 000-00-03", 3)])
async def test_every_conflict(dadata, source, conflict):
    assert (await dadata.clean("phone", source))["qc_conflict"] == conflict


async def test_an_answer_no_database_can_store(dadata):
    assert (await dadata.clean("phone", "+7 999 000-00-00"))["provider"] == "до\x00после \ud800"


@pytest.mark.parametrize(
    ("source", "email", "kind", "qc"),
    [
        ("serega@yandex/ru", "serega@yandex.ru", "PERSONAL", 4),
        ("anderson@matrix.ru", "anderson@matrix.ru", "CORPORATE", 0),
        ("serega@yandex.ru", "serega@yandex.ru", "PERSONAL", 0),
        ("info@matrix.ru", "info@matrix.ru", "ROLE", 0),
        ("почта@пример.рф", "почта@пример.рф", "CORPORATE", 0),
        ("serega@", None, None, 1),
        ("serega.yandex.ru", None, None, 1),
        ("a@b@c.ru", None, None, 1),
        ("", None, None, 2),
        ("привет", None, None, 2),
        ("anyone@mailinator.com", "anyone@mailinator.com", "DISPOSABLE", 3),
        ("serega@gmial.com", "serega@gmail.com", "PERSONAL", 4),
        ("serega @ yandex,ru", "serega@yandex.ru", "PERSONAL", 4),
    ],
)
async def test_email(dadata, source, email, kind, qc):
    local, _, domain = email.partition("@") if email else (None, None, None)
    assert await dadata.clean("email", source) == {
        "source": source,
        "email": email,
        "local": local,
        "domain": domain,
        "type": kind,
        "qc": qc,
    }


async def test_the_wire_carries_cyrillic_unescaped(sandbox):
    answer = await sandbox.http.post(PHONE, headers=HEADERS, content='["раб 846)231.60.14 *139"]'.encode())
    assert answer.headers["content-type"] == "application/json"
    assert "Самарская область".encode() in answer.content


@pytest.mark.parametrize(
    ("status", "method", "headers", "body"),
    [
        (401, "POST", {"Authorization": ""}, b'["1"]'),
        (401, "POST", {"X-Secret": ""}, b'["1"]'),
        (401, "POST", {"Authorization": "Bearer 1"}, b'["1"]'),
        (403, "POST", {"Authorization": "Token unknown-key"}, b'["1"]'),
        (405, "GET", {}, b""),
        (415, "POST", {"Content-Type": "text/plain"}, b'["1"]'),
        (400, "POST", {}, b'["1"'),
        (400, "POST", {}, b"\xff"),
        (400, "POST", {}, b"[" * 100_000),
        (400, "POST", {}, b'{"a": "1"}'),
        (400, "POST", {}, b"[1]"),
        (400, "POST", {}, b"[]"),
        (400, "POST", {}, b'["1", "2"]'),
        (413, "POST", {}, b'["' + b"1" * 5_000_000 + b'"]'),
    ],
)
async def test_refusals(sandbox, status, method, headers, body):
    answer = await sandbox.http.request(method, PHONE, headers=HEADERS | headers, content=body)
    assert answer.status_code == status
    error = answer.json()
    assert set(error) == {"family", "reason", "message"}
    assert (error["family"], error["reason"]) == ("CLIENT_ERROR", HTTPStatus(status).phrase)
    assert (await sandbox.journal())[-1]["outcome"] == "refused"


async def test_the_published_error_body(sandbox):
    answer = await sandbox.http.post(PHONE, headers=HEADERS | {"Content-Type": "text/plain"}, content=b"")
    assert answer.json() == {
        "family": "CLIENT_ERROR",
        "reason": "Unsupported Media Type",
        "message": "HTTP 415 Unsupported Media Type",
    }


async def test_a_wrong_path_is_404_in_the_same_form(sandbox):
    answer = await sandbox.http.post("/dadata/api/v1/clean/fax", headers=HEADERS, json=["1"])
    assert (answer.status_code, answer.json()["family"]) == (404, "CLIENT_ERROR")


async def test_the_message_of_403_holds_the_key(sandbox):
    answer = await sandbox.http.post(PHONE, headers=HEADERS | {"Authorization": "Token unknown-77"}, json=["1"])
    assert "'unknown-77'" in answer.json()["message"]


async def test_known_keys_can_be_set(sandbox):
    await sandbox.settings("dadata", known_keys=["other"])
    assert (await sandbox.http.post(PHONE, headers=HEADERS, json=["1"])).status_code == 403
    other = HEADERS | {"Authorization": "Token other"}
    assert (await sandbox.http.post(PHONE, headers=other, json=["1"])).status_code == 200


async def test_balance(sandbox):
    path = "/dadata/api/v2/profile/balance"
    assert (await sandbox.http.get(path)).status_code == 401
    assert (await sandbox.http.get(path, headers=HEADERS)).json() == {"balance": 150.0}
    await sandbox.settings("dadata", balance=0.5)
    assert (await sandbox.http.get(path, headers=HEADERS)).json() == {"balance": 0.5}


async def test_requests_per_second(sandbox):
    await sandbox.settings("dadata", requests_per_second=1)
    statuses = [(await sandbox.http.post(PHONE, headers=HEADERS, json=["1"])).status_code for _ in range(3)]
    assert statuses[0] == 200
    assert 429 in statuses
    await sandbox.settings("dadata")
    statuses = [(await sandbox.http.post(PHONE, headers=HEADERS, json=["1"])).status_code for _ in range(3)]
    assert statuses == [200] * 3


async def test_connects_per_minute(sandbox):
    await sandbox.settings("dadata", connects_per_minute=1)
    kept_alive = [(await sandbox.http.post(PHONE, headers=HEADERS, json=["1"])).status_code for _ in range(2)]
    head, _ = await sandbox.raw(PHONE)
    assert kept_alive == [200, 200]
    assert head.startswith(b"HTTP/1.1 429 ")
