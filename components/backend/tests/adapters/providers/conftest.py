"""A sandbox of its own for each test, and the real adapters pointed at it."""

import asyncio
import contextlib
import datetime
import ipaddress
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gonets.adapters.providers.dadata import Dadata
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.providers.yandexgpt import YandexGPT
from sandbox import app
from sandbox.app import Sandbox
from sandbox.settings import Settings

KEY, SECRET = "key-0123456789abcdef", "secret-89abcdef01234567"


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """As in production, on uvloop. What is said of sockets has to be true of asyncio's own loop, too."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.name == "test_transport.py":
        loops["asyncio"] = asyncio.new_event_loop
    return loops


class Remote:
    """The sandbox as its users see it."""

    def __init__(self, running: Sandbox, http: httpx.AsyncClient) -> None:
        self.base = f"http://127.0.0.1:{running.http_port}"
        self.grpc_address = f"127.0.0.1:{running.grpc_port}"
        self.http = http

    async def fault(self, provider: str, **body: Any) -> None:
        (await self.http.put(f"/control/faults/{provider}", json=body)).raise_for_status()

    async def heal(self) -> None:
        (await self.http.delete("/control/faults")).raise_for_status()

    async def journal(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.http.get("/control/journal")).json()["entries"]
        return entries


def free_port() -> int:
    """Below those the system gives to outgoing connections, and of those that no other process of the tests draws:
    nobody takes it before it is listened on."""
    while True:
        port = random.choice(app._UNASKED)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """The port of a listener whose queue is full: further SYNs are dropped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[Remote]:
    running = Sandbox(Settings(http_port=free_port(), grpc_port=free_port(), journal_size=1000))
    await running.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.http_port}", timeout=30, verify=False) as http:
        yield Remote(running, http)
    await running.stop()


@pytest.fixture
async def dadata() -> AsyncIterator[Callable[..., Dadata]]:
    """Makes adapters that share one transport per set of options."""
    transports: list[HttpTransport] = []

    def make(url: str, kind: str = "phone", **options: float) -> Dadata:
        transports.append(HttpTransport(**{"timeout": 10, **options}))
        return Dadata(kind, transports[-1], url, KEY, SECRET)

    yield make
    for transport in transports:
        await transport.close()


def gpt(endpoint: str, **changes: Any) -> YandexGPT:
    defaults: dict[str, Any] = {
        "insecure": True,
        "folder_id": "b1g000000000",
        "api_key": KEY,
        "iam_token": "",
        "model": "yandexgpt",
        "system_prompt": "Исправь ошибки",
        "temperature": 0.3,
        "max_tokens": 500,
        "timeout": 10,
    }
    return YandexGPT(endpoint=endpoint, **(defaults | changes))


@dataclass(frozen=True)
class Authority:
    """A private certificate authority, and a certificate of its for localhost."""

    ca: Path
    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: x509.Name, public: Any, extension: x509.ExtensionType) -> bytes:
        return (
            x509.CertificateBuilder(name, subject, public, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    localhost = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = Authority(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")
    made.ca.write_bytes(certificate(name, ca_key.public_key(), x509.BasicConstraints(ca=True, path_length=0)))
    made.certificate.write_bytes(certificate(localhost, key.public_key(), x509.SubjectAlternativeName(names)))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
