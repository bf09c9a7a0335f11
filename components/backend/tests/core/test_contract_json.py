"""The public JSON of tasks and notifications."""

import json

import pytest
from pydantic import ValidationError

from gonets.adapters.rabbitmq.outcomes import read, read_task
from gonets.contract import NotificationMessage, TaskError, TaskFailure, TaskMessage, TaskResult
from gonets.core.channels.model import Recipient
from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import MAX_TASK_ID, Task, TaskType

GOOD = {"task_id": 1, "task_type": "phone", "data": "8 916 823 34 54"}


def _body(**changes):
    return json.dumps(GOOD | changes).encode()


@pytest.mark.parametrize("kind", list(TaskType))
def test_a_task_is_read(kind):
    assert read_task(_body(task_type=kind.value)) == Task(1, kind, "8 916 823 34 54")


@pytest.mark.parametrize(
    "body",
    [
        _body(task_id=MAX_TASK_ID),
        _body(data="x" * 10_000),
        _body(data="😀" * 10_000),
        _body(more="fields than we know"),
        json.dumps(GOOD, indent=2).encode(),
        json.dumps(GOOD | {"data": "текст"}, ensure_ascii=False).encode(),
        b"\n" + _body() + b"\r\n",
    ],
)
def test_what_is_within_the_contract_is_taken(body):
    assert read_task(body).task_id


BAD = {
    "nothing": (b"", "EOF"),
    "no JSON": (b"hello", "JSON"),
    "half a JSON": (b'{"task_id": 1', "EOF"),
    "two JSONs": (_body() + _body(), "trailing"),
    "a list": (b"[]", "object"),
    "a number": (b"1", "object"),
    "null": (b"null", "object"),
    "no fields": (b"{}", "task_id: must be given; task_type: must be given; data: must be given"),
    "task_id 0": (_body(task_id=0), "task_id: must be greater than or equal to 1"),
    "task_id -1": (_body(task_id=-1), "task_id: "),
    "task_id 2^63": (_body(task_id=2**63), "task_id: "),
    "task_id of 5000 digits": (b'{"task_id":' + b"1" * 5000 + b"}", "number out of range"),
    'task_id "7"': (_body(task_id="7"), "task_id: must be a whole number"),
    "task_id 1.0": (_body(task_id=1.0), "task_id: "),
    "task_id true": (_body(task_id=True), "task_id: "),
    "task_id null": (_body(task_id=None), "task_id: "),
    "task_id NaN": (_body(task_id=float("nan")), "task_id: "),
    "unknown task_type": (_body(task_type="fax"), "task_type: must be 'phone', 'email' or 'gpt'"),
    "task_type PHONE": (_body(task_type="PHONE"), "task_type: "),
    "task_type 1": (_body(task_type=1), "task_type: "),
    "empty data": (_body(data=""), "data: must have at least 1 character"),
    "data 7": (_body(data=7), "data: must be a text"),
    "data null": (_body(data=None), "data: "),
    "data list": (_body(data=["x"]), "data: "),
    "data of 10001 characters": (_body(data="x" * 10_001), "data: must have at most 10000 characters"),
    "1 MiB of data": (_body(data="x" * 2**20), "data: must have at most 10000 characters"),
    "NUL": (_body(data="a\0b"), "data: must not contain the NUL character (U+0000)"),
    "a lone surrogate": (_body(data="\ud800"), "hex escape"),
    "an encoded surrogate": (b'{"data": "\xed\xa0\x80"}', "unicode"),
    "invalid UTF-8": (b'{"data": "\xff"}', "unicode"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "JSON"),
    "deep nesting": (b"[" * 100_000, "recursion limit"),
    "deep nesting inside": (b'{"data": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "recursion limit"),
    "several mistakes": (_body(task_id=0, data=""), "data: must have at least 1 character"),
}


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_task_is_invalid_with_a_reason_a_person_can_read(body, reason):
    with pytest.raises(Invalid) as caught:
        read_task(body)
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 300, "the reason does not repeat the message"
    assert "pydantic" not in caught.value.reason.lower()


def test_each_mistake_is_named():
    with pytest.raises(Invalid) as caught:
        read_task(_body(task_id=0, task_type="fax", data=""))
    assert [line.split(":")[0] for line in caught.value.reason.split("; ")] == ["task_id", "task_type", "data"]
    assert caught.value.field == "task_id"


def test_a_task_s_json_is_the_contract_s():
    task = Task(1, TaskType.EMAIL, "ё@x.ru")
    written = TaskMessage.from_task(task).model_dump_json()
    assert json.loads(written) == {"task_id": 1, "task_type": "email", "data": "ё@x.ru"}
    assert read_task(written.encode()) == task


def test_a_result_and_a_failure_are_exactly_the_contract_s():
    assert TaskResult(task_id=1, id=42).model_dump_json() == '{"task_id":1,"id":42}'
    failure = TaskFailure(task_id=1, error=TaskError(category=Category.REFUSED, reason="нет"))
    assert json.loads(failure.model_dump_json()) == {"task_id": 1, "error": {"category": "refused", "reason": "нет"}}


def test_a_message_does_not_change_once_it_is_read():
    message = TaskMessage.model_validate(GOOD, strict=False)
    with pytest.raises(ValidationError):
        message.task_id = 2


# --- notifications ---

TO_ANNA = {"email": "anna@example.com"}


def _request(**changes):
    return json.dumps({"message": "Привет"} | changes).encode()


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"contactId": 5}, "contactId"),
        ({"recipient": {"contactId": 5}}, "recipient.contactId"),
        ({"recipient": {"contactId": 5}, "contactId": 5}, "recipient.contactId"),
    ],
    ids=["above", "in the recipient", "twice"],
)
def test_a_contact_may_be_named_at_either_place(named, field):
    request = read(NotificationMessage, _request(**named))
    new = request.to_new(1, None)
    assert (new.contact_id, new.recipient, new.contact_field) == (5, Recipient(), field)
    assert request.digest == read(NotificationMessage, _request(contactId=5)).digest, "the same notification"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (
            {"recipient": {"contactId": 5}, "contactId": 6},
            "contactId: must be what recipient.contactId is, or be left out",
        ),
        ({"recipient": TO_ANNA, "contactId": 5}, "contactId: must be left out where the recipient has addresses"),
        (
            {"recipient": TO_ANNA | {"contactId": 5}},
            "recipient.contactId: must be left out where there are addresses",
        ),
        ({"recipient": {}}, "recipient: must have a telegramChatId, an email, a phone or a contactId"),
    ],
)
def test_a_person_named_in_two_ways_or_in_none_is_refused(named, expected):
    with pytest.raises(Invalid) as raised:
        read(NotificationMessage, _request(**named))
    assert raised.value.reason == expected


@pytest.mark.parametrize("deadline", ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"])
def test_a_deadline_that_nobody_could_read_back_is_refused(deadline):
    with pytest.raises(Invalid) as raised:
        read(NotificationMessage, _request(recipient=TO_ANNA, deadline=deadline))
    assert raised.value.reason == "deadline: must be between the years 1 and 9999 in UTC"
    last = _request(recipient=TO_ANNA, deadline="9999-12-31T23:59:59Z")
    assert read(NotificationMessage, last).deadline.year == 9999


def test_the_digest_of_addresses_is_what_it_was():
    """It is kept with keys for seven days: an update of the service must not make them conflicts."""
    digest = read(NotificationMessage, _request(recipient=TO_ANNA)).digest
    assert digest == "b1aa5552be1ebe211bc8c2e42c3a364697295b704962a290edeb9039e9beb2c4"
