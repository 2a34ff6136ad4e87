"""The tables of messages: what is sent, and what must come out on the other side.

`requests.toml` holds what browsers send, `responses.toml` what upstreams answer. In both, `{...}`
stands for what a table can't know or should not repeat:

    {host}      the gateway's own host and port
    {ours}      Host, the session's Cookie and the CSRF header, a line each
    {session}   the same without Host
    {a*9000}    a character so many times
    {fields*9}  so many fields, a line each

`nginx` is what nginx does otherwise, and why that is right for it and not for us, or the reverse;
`chance`: what depends on how quickly it was told of something.
Without it nginx must do the same.
"""

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
_REPEATED = re.compile(r"\{(fields|.)\*(\d+)\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestVector:
    """`answers`: the statuses of all responses, interim ones too. `upstream`: what has arrived, as
    "METHOD target|body". `has`, `lacks`: fields of the first request to arrive; `answer_has`,
    `answer_lacks`: of the first answer. `goes_on`: a further request is served as well."""

    name: str
    rfc: str
    send: str
    answers: list[int]
    upstream: list[str] = field(default_factory=list)
    has: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    answer_has: list[str] = field(default_factory=list)
    answer_lacks: list[str] = field(default_factory=list)
    goes_on: bool = False
    nginx: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseVector:
    """`then`: what the upstream does after its answer, "stay" or "close". `method`, `version`: of
    the browser's request. `answers`, `body`: what the browser gets; `whole`: with its end.
    `has`, `lacks`: fields of the answer; `interim_has`, `interim_lacks`: of those before it.
    `reused`: the upstream's connection serves the next request too; `asked`: how often it was."""

    name: str
    rfc: str
    send: str
    then: str = "stay"
    method: str = "GET"
    version: str = "1.1"
    answers: list[int]
    body: str = ""
    whole: bool = True
    has: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    interim_has: list[str] = field(default_factory=list)
    interim_lacks: list[str] = field(default_factory=list)
    reused: bool = False
    asked: int = 1
    nginx: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a vector: its expectations by name. Compares by value, shows what differs."""

    seen: dict[str, object]

    @classmethod
    def expected(cls, vector: RequestVector | ResponseVector, *, by_nginx: bool = False) -> Self:
        """What the table says."""
        told = {item.name: getattr(vector, item.name) for item in fields(vector)}
        said = {name: told[name] for name in _OUTCOMES if name in told} | {"violates": []}
        if by_nginx:
            said |= {name: value for name, value in vector.nginx.items() if name in said}
            said = {name: said[name] for name in said if name not in vector.nginx.get("chance", ())}
        return cls(said)

    def differs_from(self, other: Self) -> str:
        """Nothing, or how."""
        return "; ".join(
            f"{name}: {value!r}, not {other.seen[name]!r}"
            for name, value in self.seen.items()
            if value != other.seen.get(name, value)
        )


_OUTCOMES = ("answers", "upstream", "goes_on", "body", "whole", "reused", "asked")


def request_vectors() -> list[RequestVector]:
    return [RequestVector(**row) for row in _rows("requests.toml")]


def response_vectors() -> list[ResponseVector]:
    return [ResponseVector(**row) for row in _rows("responses.toml")]


def _rows(name: str) -> list[dict[str, Any]]:
    tables = tomllib.loads((HERE / name).read_text())
    return [row for rows in tables.values() for row in rows]


def as_bytes(text: str, *, host: str = "", session: str = "") -> bytes:
    """A table's text as it goes over the wire; characters are bytes."""
    text = text.replace("{ours}", "Host: {host}\r\n{session}")
    text = text.replace("{host}", host).replace("{session}", session)
    return _REPEATED.sub(_repeat, text).encode("latin-1")


def _repeat(match: re.Match[str]) -> str:
    what, times = match.group(1), int(match.group(2))
    if what == "fields":
        return "".join(f"X-{number}: 1\r\n" for number in range(times))
    return what * times


def violations(has: list[str], lacks: list[str], head: list[tuple[bytes, bytes]]) -> list[str]:
    """The expectations of fields that a head does not meet. "name: value" or a name alone; names in
    lower case, as they are in `head`."""
    lines = {f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in head}
    names = {name.decode("latin-1") for name, _ in head}
    found = [f"has {item}" for item in has if item not in lines | names]
    return found + [f"lacks {item}" for item in lacks if item in lines | names]
