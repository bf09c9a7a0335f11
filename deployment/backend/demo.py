#!/usr/bin/env python3
"""A walk through the service: three tasks by REST, one by queue, where their results are, and a notification.

Expects everything to be running (make demo sees to it). Uses task ids of its own, so that 1 to 4 stay free, and takes
only its own messages from the result queue.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg  # type: ignore[import-untyped]
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent / "native"))

from processes import ServerError
from variables import Variables, read

TASK_QUEUE = "TaskProcessingQueue"
RESULT_QUEUE = "TaskResultDeliveryQueue"
PATIENCE = 60.0

BY_REST = [
    ("A phone number", "phone", "раб 846)231.60.14 *139"),
    ("An e-mail address", "email", "serega@yandex/ru"),
    ("A text with mistakes", "gpt", "Превет! Моя карова даёт малако."),
]
ACCOUNT = {"email": "demo@example.com", "password": "demonstration"}
CONTACT = {"name": "Анна (demo)", "email": "anna@example.com"}
BY_QUEUE = ("phone", "8 (916) 823-34-54")


class DemoError(Exception):
    """The walk cannot go on; the message says why in one line."""


def show(text: str = "") -> None:
    print(text, flush=True)


def heading(number: int, text: str) -> None:
    show(f"\n{number}. {text}")


def compact(value: Any, width: int = 220) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= width else text[: width - 1] + "…"


async def submit(client: httpx.AsyncClient, task: dict[str, Any]) -> int:
    """The result's id; waits for it where the service answers that it will take longer."""
    answer = await client.post("/api/v1/tasks", json=task)
    show(f"   → {answer.status_code} {compact(answer.json())}")
    if answer.status_code == 200:
        return int(answer.json()["id"])
    if answer.status_code != 202:
        raise DemoError(f"the task was not done: {answer.status_code} {answer.text[:300]}")
    return await wait_for(client, answer.headers["Location"])


async def wait_for(client: httpx.AsyncClient, location: str) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        state = (await client.get(location)).json()
        if state.get("status") == "failed":
            raise DemoError(f"the task failed: {compact(state)}")
        if state.get("result_id") or state.get("id"):
            show(f"   → {location}: {compact(state)}")
            return int(state.get("result_id") or state["id"])
        await asyncio.sleep(0.2)
    raise DemoError(f"{location} has no result after {PATIENCE:.0f} seconds")


async def publish(connection: aio_pika.abc.AbstractConnection, task: dict[str, Any]) -> None:
    """To the queue's name through the default exchange, confirmed by the broker."""
    channel = await connection.channel(on_return_raises=True)
    body = json.dumps(task, ensure_ascii=False).encode()
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, content_type="application/json")
    await channel.default_exchange.publish(message, TASK_QUEUE)
    await channel.close()


async def collect(connection: aio_pika.abc.AbstractConnection, wanted: set[int]) -> dict[int, int]:
    """task_id → id of the results told on the queue. Closing the channel puts back what is not ours, in its place."""
    channel = await connection.channel()
    found: dict[int, int] = {}
    deadline = time.monotonic() + PATIENCE
    try:
        queue = await channel.get_queue(RESULT_QUEUE, ensure=False)
        while wanted - found.keys():
            if time.monotonic() > deadline:
                raise DemoError(f"{RESULT_QUEUE} does not tell of {sorted(wanted - found.keys())}")
            message = await queue.get(fail=False)
            if message is None:
                await asyncio.sleep(0.1)
                continue
            result = json.loads(message.body)
            if result.get("task_id") in wanted:
                await message.ack()
                if result["task_id"] not in found:
                    show(f"   ← {message.body.decode()}")
                found[result["task_id"]] = result["id"]
    finally:
        await channel.close()
    return found


async def read_rows(variables: Variables, ids: list[int]) -> None:
    connection = await asyncpg.connect(
        host=variables["DATABASE_HOST"],
        port=variables.port("DATABASE_PORT"),
        user=variables["DATABASE_USER"],
        password=variables["DATABASE_PASSWORD"],
        database=variables["DATABASE_NAME"],
    )
    try:
        rows = await connection.fetch(
            "SELECT id, task_type::text, data FROM integration_service WHERE id = ANY($1) ORDER BY id", ids
        )
    finally:
        await connection.close()
    for row in rows:
        show(f"   {row['id']:>6}  {row['task_type']:<5}  {compact(json.loads(row['data']), 150)}")
    if len(rows) != len(ids):
        raise DemoError(f"integration_service holds {len(rows)} of {len(ids)} rows")


async def notify(client: httpx.AsyncClient) -> None:
    """To a contact of an account that is made once, and found again the next time."""
    answer = await client.post("/api/v1/auth/login", json=ACCOUNT)
    if answer.status_code == 401:
        answer = await client.post("/api/v1/auth/signup", json=ACCOUNT)
    if answer.is_error:
        raise DemoError(f"nobody can log in as {ACCOUNT['email']}: {answer.status_code} {answer.text[:300]}")
    show(f"   → logged in as {ACCOUNT['email']}, password {ACCOUNT['password']}")
    client.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
    known = (await client.get("/api/v1/contacts", params={"limit": 500})).json()["contacts"]
    contact = next((one for one in known if one["name"] == CONTACT["name"]), None)
    if contact is None:
        contact = (await client.post("/api/v1/contacts", json=CONTACT)).raise_for_status().json()
    show(f"   → contact {contact['id']}: {CONTACT['name']}, {contact['email']}")
    message = {"recipient": {"contactId": contact["id"]}, "subject": "Gonets", "message": "Привет из make demo!"}
    show(f"   POST /api/v1/notifications {compact(message)}")
    answer = await client.post("/api/v1/notifications", json=message)
    if answer.is_error:
        raise DemoError(f"the notification was not taken: {answer.status_code} {answer.text[:300]}")
    location = answer.headers["Location"]
    deadline = time.monotonic() + PATIENCE
    while not (found := (await client.get(location)).json())["finishedAt"]:
        if time.monotonic() > deadline:
            raise DemoError(f"{location} is still {found['status']} after {PATIENCE:.0f} seconds")
        await asyncio.sleep(0.2)
    show(f"   → {location}: {found['status']} by {found['channelType']}, {found['reason']}")
    if found["status"] not in {"sent", "delivered"}:
        raise DemoError(f"the notification is {found['status']}: {found['reason']}")


async def walk(variables: Variables) -> None:
    first = time.time_ns() // 1_000_000
    api = f"http://localhost:{variables['API_PORT']}"
    results: dict[int, int] = {}
    async with httpx.AsyncClient(base_url=api, timeout=PATIENCE, trust_env=False) as client:
        for number, (what, task_type, data) in enumerate(BY_REST, start=1):
            task = {"task_id": first + number, "task_type": task_type, "data": data}
            heading(number, f"{what}, by REST")
            show(f"   POST {api}/api/v1/tasks")
            show(f"        {compact(task)}")
            results[first + number] = await submit(client, task)

    connection = await aio_pika.connect(
        host=variables["RABBITMQ_HOST"],
        port=variables.port("RABBITMQ_AMQP_PORT"),
        login=variables["RABBITMQ_USER"],
        password=variables["RABBITMQ_PASSWORD"],
        virtualhost=variables["RABBITMQ_VHOST"],
    )
    async with connection:
        queued = {"task_id": first + 4, "task_type": BY_QUEUE[0], "data": BY_QUEUE[1]}
        heading(4, f"Another phone number, published to the queue {TASK_QUEUE}")
        show(f"        {compact(queued)}")
        await publish(connection, queued)
        show("   → confirmed by RabbitMQ")

        heading(5, f"The results, as told on the queue {RESULT_QUEUE}")
        told = await collect(connection, {first + number for number in range(1, 5)})
    wrong = [task_id for task_id, result in results.items() if told[task_id] != result]
    if wrong:
        raise DemoError(f"REST and the queue tell different results of {wrong}")

    heading(6, "Their rows in the table integration_service (id, task_type, data)")
    await read_rows(variables, sorted(told.values()))

    heading(7, "A message to one person")
    async with httpx.AsyncClient(base_url=api, timeout=PATIENCE, trust_env=False) as client:
        await notify(client)


def where_to_look(variables: Variables) -> str:
    api = f"http://localhost:{variables['API_PORT']}"
    sandbox = f"http://{variables['SANDBOX_HOST']}:{variables['SANDBOX_HTTP_PORT']}"
    database = f"psql -h {variables['DATABASE_HOST']} -p {variables['DATABASE_PORT']} -U {variables['DATABASE_USER']}"
    return f"""
Four tasks and a notification went through; all of it is still running. Where to look next:

  try it      {api}/api/v1/docs
  tasks       curl {api}/api/v1/tasks
  the message {sandbox}/inbox   (docs/notifications.md)
  queues      http://{variables["RABBITMQ_HOST"]}:{variables["RABBITMQ_WEB_PORT"]}   ({variables["RABBITMQ_USER"]})
  the table   {database} {variables["DATABASE_NAME"]} -c 'TABLE integration_service'
  pgAdmin     make pgadmin
  logs        make logs
  stop        make down
"""


def main() -> None:
    variables = read()
    try:
        asyncio.run(walk(variables))
    except (DemoError, ServerError) as error:
        sys.exit(f"demo: {error}")
    except (httpx.HTTPError, aio_pika.exceptions.AMQPError, asyncpg.PostgresError, OSError) as error:
        sys.exit(f"demo: {type(error).__name__}: {error} (is everything running? make up)")
    show(where_to_look(variables))


if __name__ == "__main__":
    main()
