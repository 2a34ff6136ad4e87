"""What the running gateway says of itself, at its admin listener."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bff import __version__
from bff.admin.health import OK, TIMEOUT
from bff.cli.admin_client import AdminFailed, ask_admin
from bff.cli.checks.verdict import Verdict, bad, good, printable, warning
from bff.clock import Clock, ClockReading
from bff.config.settings import Settings

ITEM = "gateway"
NOT_ASKED = "so it can't be asked what it sees, nor for its open files"
FEW = 4
SERVE = (
    "start it (`bff serve`), or run this command on its machine, with its configuration and as a "
    "user that may connect to server.admin_listen"
)
RELEASE = "restart it with this release, or run the `bff` that it was installed with"


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """`checks` are those of `/readyz`, with `ok` or a code each; `allowed` open files are None
    where there is no limit. `ticket` is for one request through the proxies in front."""

    version: str
    checks: Mapping[str, str]
    allowed: int | None
    wanted: int
    ticket: str = field(repr=False)
    clock: ClockReading

    @classmethod
    def from_json(cls, document: Mapping[str, Any], asked_at: float, answered_at: float) -> Self:
        """Raises: LookupError, TypeError, ValueError when it is something else."""
        allowed = document["open_files"]["allowed"]
        return cls(
            printable(str(document["version"])),
            {str(name): printable(str(said)) for name, said in document["checks"].items()},
            None if allowed is None else int(allowed),
            int(document["open_files"]["wanted"]),
            str(document["ticket"]),
            ClockReading(asked_at, float(document["now"]), answered_at),
        )


async def ask_gateway(settings: Settings, clock: Clock) -> RunningGateway:
    """Raises: AdminFailed when none answers, or not as one of this release."""
    asked_at = clock.now()
    document = await ask_admin(settings.server.admin_listen, "POST", "/doctor", {})
    try:
        return RunningGateway.from_json(document, asked_at, clock.now())
    except (LookupError, TypeError, ValueError, AttributeError):
        raise AdminFailed("it does not answer as a gateway of this release does") from None


def on_no_gateway(error: AdminFailed) -> Verdict:
    """What its silence means."""
    text = printable(str(error))
    does_answer = not text.startswith("no gateway answers")
    return bad(ITEM, f"{text}; {NOT_ASKED}", RELEASE if does_answer else SERVE)


def on_gateway(running: RunningGateway, address: str) -> Iterator[Verdict]:
    """Its release, what it depends on as seen from there, and its open files."""
    if running.version == __version__:
        yield good(ITEM, f"answers at {address}, release {running.version}")
    else:
        yield warning(
            ITEM,
            f"release {running.version} runs, and this command is of release {__version__}",
            "restart it, if it was updated",
        )
    missing = {name: code for name, code in running.checks.items() if code != OK}
    if not missing:
        yield good("readiness", f"the gateway has what it needs: {', '.join(running.checks)}")
    for name, code in missing.items():
        judge = bad if ":" not in name else warning  # of several OPs one keeps some users out only
        meaning = "it took too long" if code == TIMEOUT else f"see docs/errors.md, {code}"
        yield judge(
            "readiness",
            f"the gateway says of {name}: {code}",
            f"{meaning}; the lines below ask the same from here: where they find nothing, the "
            "gateway's network or user differs from yours",
        )
    yield _on_open_files(running)


def _on_open_files(running: RunningGateway) -> Verdict:
    item, allowed = "open files", running.allowed
    if allowed is None or allowed >= running.wanted:
        limit = "without a limit" if allowed is None else str(allowed)
        return good(item, f"{limit}; {running.wanted} are enough for server.max_connections")
    # Below a quarter an ordinary day's load uses them up.
    judge = bad if allowed * FEW < running.wanted else warning
    return judge(
        item,
        f"a process may have {allowed} open; server.max_connections takes {running.wanted}",
        "raise the hard limit where the gateway is started (LimitNOFILE= of systemd, ulimits of a "
        "container), or lower server.max_connections",
    )
