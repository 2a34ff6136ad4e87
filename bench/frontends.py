"""What many frontends cost: a call's decision at one of 1,000 against that at the only one, in
turns in one run; and for each number of them the time to load and to build, and the memory.

`python -m bench.frontends`; nothing is listened on, and no OP is asked.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bff.app import Gateway
from bff.config import load
from bff.gate.head import RequestHead
from bff.gate.outcome import Forward
from bff.model import Tokens

MANY = 1000
ROUNDS = 60
CALLS = 2000  # of one round

TOP = """
[oidc]
issuer = "https://id.example.com"
client_id = "spa"
client_secret = "Jq3vK8nT5xY1cW7zB2mL9rD4"
[session]
secrets = ["Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"]
[limits]
api_calls = "off"
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/"
"""


@dataclass(slots=True)
class Subject:
    """A gateway with a session in memory, and a call of that session at its last frontend."""

    gateway: Gateway
    head: RequestHead
    key: str
    load_seconds: float
    build_seconds: float
    memory_bytes: int

    async def round_seconds(self) -> float:
        """How long the decision about a call takes."""
        await self.gateway._core.sessions.load_fresh(self.key)  # noqa: SLF001 - into memory
        decide = self.gateway._public.context.admission.decide  # noqa: SLF001 - as the proxy does
        head = self.head
        if not isinstance(decide(head), Forward):
            raise SystemExit("the call is not forwarded")
        began = time.process_time()
        for _ in range(CALLS):
            decide(head)
        return (time.process_time() - began) / CALLS


def configuration(count: int) -> str:
    if count == 0:
        return '[server]\npublic_url = "https://app-0.example.com"\n' + TOP
    return TOP + "".join(
        f'[[frontends]]\nname = "app-{n}"\npublic_url = "https://app-{n}.example.com"\n'
        for n in range(count)
    )


async def subject(count: int) -> Subject:
    """`count` 0: the top level alone."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "bff.toml"
        path.write_text(configuration(count))
        memory, began = resident_bytes(), time.perf_counter()
        settings = load(path, {})
        loaded = time.perf_counter()
    gateway = Gateway(settings)
    built = time.perf_counter()
    memory = resident_bytes() - memory
    await gateway._core.sessions.start()  # noqa: SLF001 - the store alone, without an OP
    served = gateway._served[-1]  # noqa: SLF001
    issued = served.browser.session_cookie.issue()
    now = time.time()
    await gateway._core.sessions.create(  # noqa: SLF001
        issued.key,
        issuer="https://id.example.com",
        sub="alice",
        sid=None,
        tokens=Tokens("access-token", now, now + 86_400),
        frontend=served.frontend.name,
    )
    fields = [
        (b"Host", served.frontend.settings.server.authority.encode()),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"),
        (b"Accept", b"application/json"),
        (b"Sec-Fetch-Site", b"same-origin"),
        (b"X-CSRF", b"1"),
        (b"Cookie", f"{served.frontend.session_cookie}={issued.value}".encode()),
    ]
    head = RequestHead("GET", b"/api/items?page=2", fields, "127.0.0.1")
    return Subject(gateway, head, issued.key, loaded - began, built - loaded, memory)


def resident_bytes() -> int:
    [pages] = Path("/proc/self/statm").read_text().split()[1:2]
    return int(pages) * 4096


async def measure() -> None:
    subjects = {count: await subject(count) for count in (0, 1, MANY)}
    for count, one in subjects.items():
        print(
            f"{count or 'no':>5} frontends: load {one.load_seconds:6.3f} s, build "
            f"{one.build_seconds:6.3f} s, {one.memory_bytes / 2**20:6.1f} MiB"
        )
    rounds = [
        {count: await one.round_seconds() for count, one in subjects.items()} for _ in range(ROUNDS)
    ]
    for count in (1, MANY):
        ratio = statistics.median(one[count] / one[0] for one in rounds)
        micros = statistics.median(one[count] for one in rounds) * 1e6
        print(f"{count:>5} frontends: {micros:5.1f} µs a decision, {ratio:.3f} of that without any")


if __name__ == "__main__":
    sys.exit(asyncio.run(measure()))
