"""The obvious stack: FastStream, httpx and a SQLAlchemy session for each message, as a decent developer would write it.

The full work (validate, ask the provider, insert the result's row, publish it confirmed and persistently, acknowledge)
without our guarantees: a duplicate is paid and stored twice, a crash after the commit loses the announcement or repeats
the call, a failure is an exception in a log.
"""

import asyncio
import os
from enum import StrEnum
from typing import Annotated, Any

import httpx
import uvloop
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, Enum, Identity
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Measured: it is fastest so; with more in flight httpx gets slower.
PREFETCH = int(os.environ.get("BENCH_PREFETCH", "20"))


class TaskType(StrEnum):
    phone = "phone"
    email = "email"
    gpt = "gpt"


class TaskIn(BaseModel):
    task_id: Annotated[int, Field(ge=1)]
    task_type: TaskType
    data: Annotated[str, Field(min_length=1, max_length=10_000)]


class TaskOut(BaseModel):
    task_id: int
    id: int


class Base(DeclarativeBase):
    pass


class IntegrationResult(Base):
    __tablename__ = "integration_service"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    task_type: Mapped[TaskType] = mapped_column(Enum(TaskType, name="task_type"))


def _url(scheme: str, prefix: str, name: str, port: str) -> str:
    env = os.environ
    user, password = env[f"{prefix}_USER"], env[f"{prefix}_PASSWORD"]
    return f"{scheme}://{user}:{password}@{env[f'{prefix}_HOST']}:{env[port]}/{name}"


engine = create_async_engine(
    _url("postgresql+asyncpg", "DATABASE", os.environ["DATABASE_NAME"], "DATABASE_PORT"), pool_size=20
)
new_session = async_sessionmaker(engine, expire_on_commit=False)
client = httpx.AsyncClient(
    headers={
        "Authorization": f"Token {os.environ['DADATA_API_KEY']}",
        "X-Secret": os.environ["DADATA_SECRET_KEY"],
    },
    timeout=10,
    trust_env=False,
)
broker = RabbitBroker(
    _url("amqp", "RABBITMQ", os.environ["RABBITMQ_VHOST"], "RABBITMQ_AMQP_PORT"),
    logger=None,
    default_channel=Channel(prefetch_count=PREFETCH),
)
URLS = {
    TaskType.phone: os.environ["DADATA_PHONE_API_URL"],
    TaskType.email: os.environ["DADATA_EMAIL_API_URL"],
}


@broker.subscriber(RabbitQueue("TaskProcessingQueue", declare=False))
async def handle(task: TaskIn) -> None:
    response = await client.post(URLS[task.task_type], json=[task.data])
    response.raise_for_status()
    async with new_session() as session:
        result = IntegrationResult(data=response.json()[0], task_type=task.task_type)
        session.add(result)
        await session.commit()
    await broker.publish(TaskOut(task_id=task.task_id, id=result.id), queue="TaskResultDeliveryQueue", persist=True)


async def main() -> None:
    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
