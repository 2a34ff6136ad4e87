"""What the gateway wants to reach, and by how much it does or does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.cases import many_sessions, small_json, transfers, two_workers
from bench.sampling import Found
from bench.tables import median, ratio

Results = Mapping[str, Found]
"""What each case has found, by its name."""

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Target:
    """`value` raises KeyError when what it needs was not measured. `unit` follows the figures."""

    text: str
    limit: float
    value: Callable[[Results], float]
    unit: str = "x"
    at_least: bool = False

    def verdict(self, results: Results) -> tuple[str, str]:
        """What was measured, and whether that is enough."""
        try:
            value = self.value(results)
        except KeyError:
            return "-", "not measured"
        digits = 4 if self.limit < 0.05 else 2
        shown = f"{value:.{digits}f}{self.unit}"
        if (value >= self.limit) if self.at_least else (value <= self.limit):
            return shown, "met"
        short_of = self.limit - value if self.at_least else value - self.limit
        return (
            shown,
            f"**missed** by {short_of:.{digits}f}{self.unit} ({short_of / self.limit:.0%})",
        )

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"


def _against(program: str) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        programs = results[small_json.NAME]["programs"]
        return ratio(programs["gateway"]["rounds"], programs[program]["rounds"], "cpu_us")

    return value


def _at_most_sessions(results: Results) -> float:
    by_count = results[many_sessions.NAME]
    return ratio(by_count["100000"]["rounds"], by_count["1"]["rounds"], "cpu_us")


def _redis_commands(results: Results) -> float:
    return median(results[small_json.NAME]["programs"]["gateway"]["rounds"], "redis_per_call")


def _transfer(direction: str) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        entries = results[transfers.NAME][direction]
        return ratio(entries["gateway"]["rounds"], entries["nginx"]["rounds"], "cpu_us_per_mb")

    return value


def _growth(results: Results) -> float:
    entries = [found["gateway"] for found in results[transfers.NAME].values()]
    return float(max(one["growth_bytes"] for entry in entries for one in entry["rounds"])) / MIB


def _two_workers(against: str) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        found = results[two_workers.NAME]
        return ratio(found[two_workers.TWO]["rounds"], found[against]["rounds"], "per_second")

    return value


TARGETS = (
    Target("nginx, plain proxy_pass: CPU per request", 2.5, _against("nginx")),
    Target("Caddy, plain reverse_proxy: CPU per request", 0.5, _against("caddy")),
    Target("mod_auth_openidc, sessions in Redis: CPU per request", 0.15, _against("apache")),
    Target("express-openid-connect, sessions in Redis: CPU per request", 0.12, _against("express")),
    Target("itself with 1 session, at 100,000 sessions", 1.15, _at_most_sessions),
    Target("Redis commands per API call, one session, steady state", 0.02, _redis_commands, ""),
    Target("nginx, 100 MB download: CPU per MB", 3.0, _transfer("download")),
    Target("nginx, 100 MB upload: CPU per MB", 3.0, _transfer("upload")),
    Target("memory growth during 100 MB bodies", 16.0, _growth, " MiB"),
    Target(
        "two workers against one, everything on two processors: throughput",
        1.7,
        _two_workers(two_workers.ONE),
        at_least=True,
    ),
    Target(
        "two workers on two processors against one worker on one: throughput",
        1.7,
        _two_workers(two_workers.HALF),
        at_least=True,
    ),
)
