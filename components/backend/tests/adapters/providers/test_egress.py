"""Requests to addresses that users typed: by number, by name, by redirect, by name servers that change their minds."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import pytest

from adapters.providers.conftest import Authority
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.egress import Egress, EgressError, ForbiddenAddress, Unreachable
from gonets.adapters.providers.transport import Answer, CallError, HttpTransport
from gonets.core.channels.egress import Allowance
from gonets.core.shared.errors import Category


class Names:
    """A name server in a test's hands: its answers in this order, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def guard(*allowed: str, names: Names | None = None) -> Egress:
    parsed = [Allowance.parse(text) for text in allowed]
    return Egress(parsed, names) if names else Egress(parsed)


async def call(egress: Egress, url: str) -> Answer:
    transport = HttpTransport(timeout=5, egress=egress)
    try:
        return await transport.post(url, b"{}", {})
    finally:
        await transport.close()


async def refused(egress: Egress, url: str) -> CallError:
    with pytest.raises(CallError) as caught:
        await call(egress, url)
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LocalHost.",
        "0.0.0.0",
        "0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::1]",
        "[fe80::1%25lo]",
        "[::1%25]",
        "[::1%25%25]",
        "[::ffff:127.0.0.1%25]",
        "[::ffff:127.0.0.1%251]",
        "[::ffff:127.0.0.1%2525]",
        "user:password@127.0.0.1",
        "good.example@127.0.0.1",
    ],
)
async def test_this_machine_is_not_reached_however_it_is_written(host: str) -> None:
    async with Peer(answering(answer())) as peer:
        error = await refused(guard(), f"http://{host}:{peer.port}/")
        assert error.category is Category.MISCONFIGURED
        assert not peer.connections


@pytest.mark.parametrize("host", ["169.254.169.254", "10.1.2.3", "192.168.1.1", "100.64.1.1", "[fd00::1]", "224.0.0.1"])
async def test_nor_is_what_is_near_it(host: str) -> None:
    error = await refused(guard(), f"http://{host}/latest/meta-data/")
    assert (error.category, error.reason) == (
        Category.MISCONFIGURED,
        f"{host.strip('[]')} leads to a private, local or reserved address",
    )
    assert "EGRESS_ALLOWED" in (error.hint or "")


async def test_a_name_that_leads_inside() -> None:
    names = Names(["10.0.0.5"])
    error = await refused(guard(names=names), "https://hooks.example/x")
    assert error.category is Category.MISCONFIGURED
    assert "10.0.0.5" not in error.reason, "what is inside is nobody's business"
    assert names.asked == [("hooks.example", 443)]


async def test_one_address_of_several_is_enough_to_refuse() -> None:
    error = await refused(guard(names=Names(["93.184.216.34", "127.0.0.1"])), "http://hooks.example/")
    assert error.category is Category.MISCONFIGURED


async def test_a_name_server_that_changes_its_mind() -> None:
    """What was checked is connected to: the name is not looked up again in between."""
    async with Peer(answering(answer())) as peer:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        got = await call(guard("127.0.0.1", names=names), f"http://rebinding.example:{peer.port}/")
        assert got.status == 200
        assert names.asked == [("rebinding.example", peer.port)]
        assert b"Host: rebinding.example" in peer.requests[0][0]
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        await refused(guard("127.0.0.1", names=names), f"http://rebinding.example:{peer.port}/")
        assert len(peer.connections) == 1


async def test_each_new_connection_is_checked_again() -> None:
    async with Peer(answering(answer(b"[]", "Connection: close"))) as peer:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        egress = guard("127.0.0.1", names=names)
        await call(egress, f"http://rebinding.example:{peer.port}/")
        await refused(egress, f"http://rebinding.example:{peer.port}/")


async def test_a_redirect_to_the_inside_is_an_answer_not_a_way() -> None:
    async with Peer(answering(answer(b"", "Location: http://127.0.0.1:1/", status="302 Found"))) as peer:
        got = await call(guard(f"localhost:{peer.port}"), f"http://localhost:{peer.port}/")
        assert (got.status, len(peer.requests)) == (302, 1)


@pytest.mark.parametrize("allowed", ["localhost:{}", "localhost", "127.0.0.0/8,::1", "127.0.0.1:{},[::1]:{}"])
async def test_exceptions(allowed: str) -> None:
    async with Peer(answering(answer())) as peer:
        egress = guard(*allowed.replace("{}", str(peer.port)).split(","))
        assert (await call(egress, f"http://localhost:{peer.port}/")).status == 200


async def test_an_exception_for_another_port_is_none() -> None:
    async with Peer(answering(answer())) as peer:
        assert (await refused(guard("localhost:5000"), f"http://localhost:{peer.port}/")).hint


async def test_tls_sees_the_name_that_was_typed(authority: Authority) -> None:
    """The certificate is for localhost, and of a stranger: a wrong name would be the first complaint."""
    async with Peer(answering(answer()), authority.server()) as peer:
        error = await refused(guard("localhost"), peer.url)
    assert (error.category, error.tls) == (Category.MISCONFIGURED, True)
    assert "self-signed" in error.reason or "unable to get local issuer" in error.reason


async def fails(error: int) -> Callable[[str, int], object]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(error, "no")

    return lookup


async def test_names_that_lead_nowhere() -> None:
    unknown = Egress((), await fails(socket.EAI_NONAME))  # type: ignore[arg-type]
    assert (await refused(unknown, "http://nowhere.example/")).category is Category.MISCONFIGURED
    later = Egress((), await fails(socket.EAI_AGAIN))  # type: ignore[arg-type]
    assert (await refused(later, "http://later.example/")).category is Category.UNAVAILABLE
    assert (await refused(guard(names=Names([])), "http://empty.example/")).category is Category.MISCONFIGURED


# Connected sockets, for other protocols


async def test_a_connected_socket() -> None:
    async with Peer(answering(answer())) as peer:
        names = Names(["127.0.0.1"])
        with await guard("127.0.0.1", names=names).connect("mail.example", peer.port, timeout=5) as connected:
            assert connected.getpeername() == ("127.0.0.1", peer.port)
        assert len(names.asked) == 1


async def test_the_next_address_where_the_first_does_not_answer() -> None:
    async with Peer(answering(answer())) as peer:
        names = Names(["127.0.0.2", "127.0.0.1"])  # the peer listens on the second only
        with await guard("127.0.0.0/8", names=names).connect("mail.example", peer.port, timeout=5) as connected:
            assert connected.getpeername()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("127.0.0.1", ForbiddenAddress),
        ("localhost", ForbiddenAddress),
        ("::1", ForbiddenAddress),
        ("::ffff:127.0.0.1%%", ForbiddenAddress),
    ],
)
async def test_no_socket_to_the_inside(host: str, error: type[EgressError]) -> None:
    async with Peer(answering(answer())) as peer:
        with pytest.raises(error):
            await guard().connect(host, peer.port, timeout=5)
        assert not peer.connections


async def test_nobody_listens() -> None:
    with pytest.raises(Unreachable, match="nobody listens there"):
        await guard("127.0.0.1").connect("127.0.0.1", 1, timeout=5)


async def test_nobody_answers_in_time(full_backlog: int) -> None:
    with pytest.raises(Unreachable, match="no answer in time"):
        await guard("127.0.0.1").connect("127.0.0.1", full_backlog, timeout=0.3)


async def test_a_name_server_that_never_answers() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(Unreachable, match="no answer in time"):
        await Egress((), hang).connect("slow.example", 25, timeout=0.2)
