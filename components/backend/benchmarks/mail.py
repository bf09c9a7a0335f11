"""Mail a second: our channel against a loop around aiosmtplib, both on kept connections to a server that costs nothing.

The loop sends the same letter, built beforehand; the channel checks its configuration and builds each letter. One
process, the contestants by turns. `python -m benchmarks.mail` runs this part alone.
"""

import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import uvloop
from aiosmtplib import SMTP

from benchmarks.report import Line
from benchmarks.stage import BenchError, end
from gonets.adapters.providers.egress import Egress
from gonets.adapters.providers.email import Email
from gonets.adapters.providers.letters import letter, mailbox
from gonets.adapters.providers.smtp import Mailer
from gonets.core.channels.egress import Allowance
from gonets.core.channels.model import Accepted, Channel, ChannelType, Message, Send

CONNECTIONS = 4
FROM, TO, SUBJECT = "Гонец <gonets@example.com>", "anna@example.com", "Сервис «Магазин» недоступен"
TEXT = "Проверка не прошла: HTTP 500 за 5000 мс. Следующая — через минуту. " * 3
TARGET = 0.7

Sending = Callable[[int], Awaitable[None]]


async def measure(port: int, mails: int, rounds: int) -> list[tuple[float, float]]:
    """Mails a second of each round: the loop's, ours."""
    found = []
    async with bare(port) as loop, ours(port) as channel:
        for number in range(rounds + 1):
            order = (loop, channel) if number % 2 == 0 else (channel, loop)
            speeds = {sending: await _per_second(sending, mails) for sending in order}
            if number:  # the first opens the connections
                found.append((speeds[loop], speeds[channel]))
    return found


async def _per_second(sending: Sending, mails: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(sending(mails // CONNECTIONS) for _ in range(CONNECTIONS)))
    return mails / (time.perf_counter() - began)


@asynccontextmanager
async def bare(port: int) -> AsyncIterator[Sending]:
    free = [SMTP(hostname="127.0.0.1", port=port, start_tls=False) for _ in range(CONNECTIONS)]
    for client in free:
        await client.connect()
    content = letter(sender=mailbox(FROM), to=mailbox(TO), subject=SUBJECT, text=TEXT, reference="bench").content

    async def sending(mails: int) -> None:
        client = free.pop()
        for _ in range(mails):
            await client.sendmail("gonets@example.com", [TO], content)
        free.append(client)

    yield sending
    for client in free:
        await client.quit()


@asynccontextmanager
async def ours(port: int) -> AsyncIterator[Sending]:
    mailer = Mailer(Egress([Allowance.parse("127.0.0.1")]), ssl.create_default_context, connections=CONNECTIONS)
    kind, now = Email(mailer), datetime.now(UTC)
    account = {"username": "", "password": "", "fromEmail": FROM, "useTls": False}
    channel = Channel(
        id=1,
        owner_id=1,
        name="bench",
        type=ChannelType.EMAIL,
        configuration=kind.check({"smtpHost": "127.0.0.1", "smtpPort": port, **account}),
        created_at=now,
        updated_at=now,
    )

    async def sending(mails: int) -> None:
        for number in range(mails):
            send = Send(message=Message(TEXT, subject=SUBJECT), to=TO, reference=f"bench-{number}")
            outcome = await kind.send(channel, send)
            if not isinstance(outcome, Accepted):
                raise BenchError(f"a mail was not taken: {outcome}")

    yield sending
    await mailer.close()


def line(rounds: list[tuple[float, float]]) -> Line:
    ratio = median(channel / loop for loop, channel in rounds)
    return Line("SMTP channel / bare aiosmtplib loop", ratio, "", TARGET, at_least=True)


def rates(rounds: list[tuple[float, float]]) -> list[str]:
    names = ("bare aiosmtplib loop", "our SMTP channel")
    return [
        f"  {name:<48} {median(speeds):>9,.0f}   {min(speeds):,.0f} - {max(speeds):,.0f}"
        for name, speeds in zip(names, zip(*rounds, strict=True), strict=True)
    ]


@contextmanager
def server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.processes.mail_server", str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        end(process)


async def run(port: int, mails: int, rounds: int) -> list[tuple[float, float]]:
    """Starts the server, and measures."""
    with server(port) as process:
        await _listening(port, process)
        return await measure(port, mails, rounds)


async def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the mail server does not answer") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


if __name__ == "__main__":
    port, mails, rounds = (int(text) for text in [*sys.argv[1:], *("12525", "2000", "5")[len(sys.argv) - 1 :]])
    results = uvloop.run(run(port, mails, rounds))
    print("\n".join([str(line(results)), *rates(results)]))
