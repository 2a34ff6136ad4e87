"""What a client is called: by its address where things are counted, by its User-Agent where a user
sees a list of devices. A case is both, a line each."""

import ipaddress
from collections.abc import Callable, Mapping
from random import Random

from bff.endpoints.clients import client_name
from bff.limits.limiter import client_of
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

MOST_CHARS = 256
MAPPED = "::"  # the network in which IPv4 addresses are mapped
ADDRESSES = [
    b"203.0.113.9", b"2001:db8:1:2::3", b"2001:db8:1:2:ffff::", b"2001:db8:1:3::3", b"::1", b"::",
    b"::ffff:203.0.113.9", b"::ffff:0:0", b"fe80::1%eth0", b"::203.0.113.9", b"2002:cb00:7109::",
    b"64:ff9b::203.0.113.9", b"unknown", b"010.0.0.1", b"1.2.3", b"[::1]", b"2001:DB8:1:2::3",
]  # fmt: skip
AGENTS = [
    b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", b"", b"curl/8", b"\x1b[31mred", b"a\tb",
    b"<script>alert(1)</script>", b"\xe2\x80\xae\xf0\x9f\x98\x80", b"a" * 300, b"\xff" * 300,
]  # fmt: skip
WORDS = [b":", b".", b"%", b"/64", b"\n", b"0", b"ffff", b" ", *ADDRESSES, *AGENTS]


class ClientTarget:
    """The subjects name an address and a User-Agent. What is no address counts as refused."""

    name = "client"

    def __init__(
        self,
        subject: Callable[[str], str] = client_of,
        agent: Callable[[str], str] = client_name,
    ) -> None:
        self._subject = subject
        self._agent = agent

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        case = random.choice(ADDRESSES) + b"\n" + random.choice(AGENTS)
        return mutated(random, case, WORDS) if random.random() < 0.5 else case

    def judge(self, case: bytes) -> bool:
        first, _, second = case.partition(b"\n")
        self._judge_agent(second.decode("utf-8", "surrogateescape"))
        text = first.decode("latin-1")
        found = self._subject(text)
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            require(found == text, "another name for what is no address")
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else address
        if mapped is not None:
            require(found == str(mapped), "an IPv4 address is a client of its own")
            return True
        network = ipaddress.ip_network(found)
        require(network.prefixlen == 64, "not a /64")
        require(ipaddress.IPv6Address(int(address)) in network, "another network")
        if found != f"{MAPPED}/64":
            for other in (network[0], network[1], network[-1]):
                require(self._subject(str(other)) == found, "a host can choose its name")
        return True

    def _judge_agent(self, agent: str) -> None:
        name = self._agent(agent)
        require(len(name) <= MOST_CHARS, "a long name")
        require(name.isascii() and (name.isprintable() or not name), "an odd name")
        kept = iter(agent)
        require(all(char in kept for char in name), "not what was sent")
        is_plain = agent.isascii() and agent.isprintable()
        require(not is_plain or name == agent[:MOST_CHARS], "less than was sent")

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "address": lambda size: b"1:" * (size // 2),
            "agent": lambda size: b"\n" + b"\xff" * size,
        }
