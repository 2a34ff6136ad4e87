"""Where a request comes from: forwarded addresses count from trusted proxies only (RFC 7239
8.1)."""

import ipaddress

import pytest

from bff.gate.peers import TrustedProxies

PROXIES = TrustedProxies(
    [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8")]
)


@pytest.mark.rule("PX-09")
@pytest.mark.parametrize(
    ("peer", "claimed", "hops"),
    [
        ("203.0.113.9", [], ("203.0.113.9",)),
        ("203.0.113.9", [b"1.2.3.4"], ("203.0.113.9",)),
        ("10.0.0.1", [], ("10.0.0.1",)),
        ("10.0.0.1", [b"1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        ("10.0.0.1", [b"6.6.6.6, 1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        ("10.0.0.1", [b"6.6.6.6", b"1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        ("10.0.0.1", [b"1.2.3.4, 10.0.0.2"], ("1.2.3.4", "10.0.0.2", "10.0.0.1")),
        ("10.0.0.1", [b"1.2.3.4, garbage"], ("10.0.0.1",)),
        ("10.0.0.1", [b"garbage, 10.0.0.2"], ("10.0.0.2", "10.0.0.1")),
        ("10.0.0.1", [b"2001:db8::1"], ("2001:db8::1", "10.0.0.1")),
        ("10.0.0.1", [b"_hidden"], ("10.0.0.1",)),
        ("10.0.0.1", [b"1.2.3.4:5678"], ("10.0.0.1",)),
        ("10.0.0.1", [b"1.2.3.4\r\nX: y"], ("10.0.0.1",)),
        ("10.0.0.1", [b"", b","], ("10.0.0.1",)),
        ("10.0.0.1", [b"\xff"], ("10.0.0.1",)),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], ("10.0.0.3", "10.0.0.2", "10.0.0.1")),
        (None, [b"1.2.3.4"], ("1.2.3.4",)),
        (None, [], ()),
        ("::ffff:10.0.0.1", [b"1.2.3.4"], ("1.2.3.4", "::ffff:10.0.0.1")),
        ("fd00::1", [b"1.2.3.4"], ("1.2.3.4", "fd00::1")),
    ],
)
def test_hops_are_believed_from_the_peer_backwards(
    peer: str | None, claimed: list[bytes], hops: tuple[str, ...]
) -> None:
    assert PROXIES.hops(peer, claimed) == hops


def test_no_proxy_is_trusted_by_default() -> None:
    assert not TrustedProxies([]).trusts("127.0.0.1")
    assert TrustedProxies([]).hops("127.0.0.1", [b"1.2.3.4"]) == ("127.0.0.1",)


def test_what_is_no_address_is_not_trusted() -> None:
    assert not PROXIES.trusts("")
    assert not PROXIES.trusts("localhost")
