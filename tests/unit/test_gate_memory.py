"""What the gate remembers of requests has a bound: a client may send anything, for ever.

Memory is measured, not the tables: what counts is that the second hundred thousand adds nothing.
"""

import functools
import importlib
import ipaddress
import pkgutil
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

import bff
from bff.gate.head import FieldReader
from bff.gate.paths import MAX_TARGET_BYTES, read_target
from bff.gate.peers import TrustedProxies
from bff.gate.spellings import readings

ROUND = 4500
TRUSTED = [ipaddress.ip_network("10.0.0.0/8")]
# Keyed by the names of our own cookies, and by types of the settings.
WITHOUT_BOUND = {
    "bff.gate.cookies._contents",
    "bff.config.effective._kinds",
    "bff.config.load._adapter",
}


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def growth_bytes(act: Callable[[int], object], *, rounds: int = 3) -> int:
    """What is held more after further rounds of different requests than after two of them."""
    for number in range(2 * ROUND):
        act(number)
    before, _ = tracemalloc.get_traced_memory()
    for number in range(2 * ROUND, (2 + rounds) * ROUND):
        act(number)
    after, _ = tracemalloc.get_traced_memory()
    return after - before


def address(number: int) -> str:
    return str(ipaddress.ip_address(0x0A000000 + number))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "ask",
    [
        lambda proxies, number: proxies.trusts(address(number)),
        lambda proxies, number: proxies.hops("10.0.0.1", [b"192.0.2.1, %d" % number]),
        lambda proxies, number: proxies.hops(address(number), [b"192.0.2.1"]),
    ],
    ids=["peers", "claims", "peers with claims"],
)
def test_addresses_are_forgotten(ask: Callable[[TrustedProxies, int], object]) -> None:
    """4096 entries of a few hundred bytes may come and go; three times as many would be more."""
    proxies = TrustedProxies(TRUSTED)
    assert growth_bytes(lambda number: ask(proxies, number)) < 1_200_000


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("peer", ["10.0.0.1", "203.0.113.9"])
def test_long_claims_are_not_remembered(peer: str) -> None:
    """Nor is anything that a peer claims who is not trusted."""
    proxies = TrustedProxies(TRUSTED)
    for number in range(100):
        proxies.hops(peer, [b"192.0.2.1, %d" % number + b"," * 30_000])
    held, _ = tracemalloc.get_traced_memory()
    assert held < 1_000_000


def test_a_long_chain_of_trusted_addresses_is_walked_once_through() -> None:
    claimed = b", ".join(b"10.0.0.2" for _ in range(4000))
    assert len(TrustedProxies(TRUSTED).hops("10.0.0.1", [b"192.0.2.1, " + claimed])) == 4002


@pytest.mark.usefixtures("traced")
def test_names_of_fields_are_forgotten() -> None:
    reader = FieldReader()
    usual = [(b"Host", b"x"), (b"Accept", b"y")]
    held = growth_bytes(lambda number: reader.scan([*usual, (b"X-%d" % number, b"z")]))
    assert held < 1_000_000


@pytest.mark.usefixtures("traced")
def test_long_names_and_targets_are_not_remembered() -> None:
    reader = FieldReader()
    for number in range(100):
        reader.scan([(b"X-%d-" % number + b"a" * 20_000, b"z")])
        read_target((b"/%d" % number).ljust(MAX_TARGET_BYTES, b"a"))
    held, _ = tracemalloc.get_traced_memory()
    assert held < 1_000_000


@pytest.mark.usefixtures("traced")
def test_a_head_with_one_long_name_or_very_many_names_is_not_remembered() -> None:
    """In whatever order they come."""
    reader = FieldReader()
    usual = [(b"X-%d" % number, b"z") for number in range(8)]
    for number in range(100):
        reader.scan([*usual, (b"X-%d-" % number + b"a" * 20_000, b"z")])
        reader.scan([usual[number >> bit & 7] for bit in range(8)] * 60)
    held, _ = tracemalloc.get_traced_memory()
    assert held < 400_000


@pytest.mark.usefixtures("traced")
def test_readings_of_long_paths_are_not_remembered() -> None:
    """One path of 2 KB may have dozens of them."""
    for number in range(40):
        assert len(readings(b"/%d" % number + b"/%255C%253Bx;a/%2561/%5C%3By" * 50)) > 20
    held, _ = tracemalloc.get_traced_memory()
    assert held < 400_000


def test_names_that_come_late_are_read_as_ever() -> None:
    """After any number of others."""
    reader = FieldReader()
    for number in range(5000):
        reader.scan([(b"X-%d" % number, b"z")])
    scanned = reader.scan([(b"X_Forwarded_User", b"evil"), (b"Origin", b"o"), (b"X-Late", b"1")])
    assert scanned.passed == [(b"Origin", b"o"), (b"X-Late", b"1")]
    assert scanned.values(b"origin") == [b"o"]


def test_every_cache_of_a_module_has_a_bound() -> None:
    found = {}
    for module in pkgutil.walk_packages(bff.__path__, "bff."):
        if module.name.startswith("bff.__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, functools._lru_cache_wrapper):
                found[f"{module.name}.{name}"] = str(value.cache_parameters()["maxsize"])
    assert len(found) >= 5
    assert {name for name, most in found.items() if most == "None"} == WITHOUT_BOUND
