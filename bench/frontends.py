"""What many frontends cost, of one file and of a thousand tenants' files with a provider each: a
call's decision at one of 1,000 against that at the only one, in turns in one run; and for each kind
the time to load, to build and to open the way to the OPs, and the memory.

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


TENANTS = """
[tenants]
directory = "tenants.d"
hosts = "{tenant}.app.example.com"
issuer = "https://id.example.com/realms/{tenant}"
client_id = "spa"
client_secret = "Kq3vK8nT5xY1cW7zB2mL9rD4"
[[tenants.routes]]
path = "/api/"
upstream = "http://{tenant}.apis.internal:9000/"
"""


@dataclass(slots=True)
class Subject:
    """A gateway with a session in memory, and a call of that session at its last frontend."""

    name: str

    gateway: Gateway
    head: RequestHead
    key: str
    load_seconds: float
    build_seconds: float
    open_seconds: float
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


def write(folder: Path, count: int, *, tenants: bool) -> Path:
    """The main file, with those of tenants beside it."""
    path = folder / "bff.toml"
    if not tenants:
        path.write_text(configuration(count))
        return path
    _, session, rest = TOP.partition("[session]")  # no provider but those of the tenants
    path.write_text(f"{session}{rest}{TENANTS}")
    (folder / "tenants.d").mkdir()
    for number in range(count):
        (folder / "tenants.d" / f"app-{number}.toml").write_text(f'label = "Customer {number}"\n')
    return path


async def subject(name: str, count: int, *, tenants: bool = False) -> Subject:
    """`count` 0: the top level alone."""
    with TemporaryDirectory() as directory:
        path = write(Path(directory), count, tenants=tenants)
        memory, began = resident_bytes(), time.perf_counter()
        settings = load(path, {})
        loaded = time.perf_counter()
    gateway = Gateway(settings)
    built = time.perf_counter()
    await gateway._core.sessions.start()  # noqa: SLF001 - without a listener
    await gateway._core.relying_parties.start()  # noqa: SLF001 - connections come when needed
    opened = time.perf_counter()
    memory = resident_bytes() - memory
    served = gateway._served[-1]  # noqa: SLF001
    issued = served.browser.session_cookie.issue()
    now = time.time()
    await gateway._core.sessions.create(  # noqa: SLF001
        issued.key,
        issuer=gateway._core.keyring.first_of(served.frontend.name).issuer,  # noqa: SLF001
        sub="alice",
        sid=None,
        tokens=Tokens("access-token", now, now + 86_400),
        frontend=served.frontend.name,
        provider=gateway._core.keyring.first_of(served.frontend.name).provider,  # noqa: SLF001
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
    times = (loaded - began, built - loaded, opened - built)
    return Subject(name, gateway, head, issued.key, *times, memory)


def resident_bytes() -> int:
    [pages] = Path("/proc/self/statm").read_text().split()[1:2]
    return int(pages) * 4096


async def measure() -> None:
    alone = await subject("no frontends", 0)
    others = [
        await subject("1 frontend", 1),
        await subject(f"{MANY} frontends", MANY),
        await subject(f"{MANY} tenants", MANY, tenants=True),
    ]
    for one in (alone, *others):
        print(
            f"{one.name:>15}: load {one.load_seconds:6.3f} s, build {one.build_seconds:6.3f} s, "
            f"open {one.open_seconds:6.3f} s, {one.memory_bytes / 2**20:6.1f} MiB"
        )
    rounds = [[await one.round_seconds() for one in (alone, *others)] for _ in range(ROUNDS)]
    for place, one in enumerate(others, 1):
        ratio = statistics.median(times[place] / times[0] for times in rounds)
        micros = statistics.median(times[place] for times in rounds) * 1e6
        print(f"{one.name:>15}: {micros:5.1f} µs a decision, {ratio:.3f} of that without any")
    for one in (alone, *others):
        await one.gateway._core.relying_parties.close()  # noqa: SLF001
        await one.gateway._core.sessions.close()  # noqa: SLF001


if __name__ == "__main__":
    sys.exit(asyncio.run(measure()))
