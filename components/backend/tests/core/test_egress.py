"""Which addresses are of the public internet, and what an exception allows."""

from ipaddress import ip_address, ip_network

import pytest

from gonets.core.channels.egress import Allowance, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_the_inside(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2a02:6b8::feed:ff",
        "2606:4700::1111",
    ],
)
def test_the_public_internet(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("text", "target", "port"),
    [
        ("localhost", "localhost", None),
        ("Sandbox.:9090", "sandbox", 9090),
        ("10.0.0.1", ip_network("10.0.0.1"), None),
        ("10.0.0.1:25", ip_network("10.0.0.1"), 25),
        ("10.20.0.0/16", ip_network("10.20.0.0/16"), None),
        ("10.20.0.0/16:443", ip_network("10.20.0.0/16"), 443),
        ("::1", ip_network("::1"), None),
        ("[::1]", ip_network("::1"), None),
        ("[::1]:5000", ip_network("::1"), 5000),
        ("fd00::/8", ip_network("fd00::/8"), None),
    ],
)
def test_exceptions_are_read(text: str, target: object, port: int | None) -> None:
    assert Allowance.parse(text) == Allowance(target, port)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", ":80", "host:0", "host:99999", "host:x", "http://host", "a b", "u@h", "1.2.3.4/99"]
)
def test_what_is_no_exception(text: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        Allowance.parse(text)


@pytest.mark.parametrize(
    ("exception", "host", "address", "port", "allowed"),
    [
        ("localhost:5000", "localhost", "127.0.0.1", 5000, True),
        ("localhost:5000", "LOCALHOST.", "::1", 5000, True),
        ("localhost:5000", "localhost", "127.0.0.1", 5432, False),
        ("localhost:5000", "127.0.0.1", "127.0.0.1", 5000, False),
        ("localhost:5000", "evil.example", "127.0.0.1", 5000, False),
        ("localhost", "localhost.evil.example", "127.0.0.1", 5000, False),
        ("10.0.0.0/8", "anything.example", "10.1.2.3", 25, True),
        ("10.0.0.0/8", "anything.example", "::ffff:10.1.2.3", 25, False),
        ("10.0.0.0/8", "anything.example", "11.1.2.3", 25, False),
        ("127.0.0.1:25", "127.0.0.1", "127.0.0.1", 26, False),
    ],
)
def test_what_an_exception_allows(exception: str, host: str, address: str, port: int, allowed: bool) -> None:
    assert Allowance.parse(exception).allows(host, ip_address(address), port) is allowed
