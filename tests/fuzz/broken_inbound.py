"""Broken readers of what a browser, a proxy or an operator sends, each with a mistake known from
the field."""

import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from bff.config.problems import KeyPath
from bff.errors import (
    AmbiguousPath,
    BadRequest,
)
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Decision, Forward
from bff.gate.paths import Target as RequestTarget
from bff.oidc.steps.authorization import LoginRequest
from tests.canonical_target import parse_target
from tests.fuzz.targets.cookie import NAME, key_of, values_of
from tests.fuzz.targets.head import a_gate
from tests.fuzz.targets.websocket import boundaries


def decodes_first(raw: bytes) -> RequestTarget:
    return parse_target(unquote_to_bytes(raw))


def looks_for_dots_only(raw: bytes) -> RequestTarget:
    path, mark, query = raw.partition(b"?")
    if b"/../" in path or not path.startswith(b"/"):
        raise AmbiguousPath
    return RequestTarget(path, query if mark else None)


def is_lenient_with_escapes(raw: bytes) -> RequestTarget:
    """Judges without the overlong ones, and forwards what came."""
    parse_target(raw.replace(b"%c0%ae", b"x"))
    path, mark, query = raw.partition(b"?")
    return RequestTarget(path, query if mark else None)


def takes_the_first(lines: Sequence[bytes]) -> str | None:
    return next(filter(None, map(key_of, values_of(lines))), None)


def ignores_case(lines: Sequence[bytes]) -> str | None:
    values = values_of([line.replace(NAME.lower(), NAME) for line in lines])
    return key_of(values[0]) if len(values) == 1 else None


def strips_quotes(lines: Sequence[bytes]) -> str | None:
    values = values_of(lines)
    return key_of(values[0].strip(b'"\0 .')) if len(values) == 1 else None


def wants_a_slash(offered: str | None, *, public_origin: str, own_prefix: str) -> str:
    return offered if offered is not None and offered.startswith("/") else "/"


def asks_urllib(offered: str | None, *, public_origin: str, own_prefix: str) -> str:
    url = (offered or "/").removeprefix(public_origin)
    if not url.startswith("/") or url.startswith(own_prefix) or not url.isascii():
        return "/"
    return "/" if urlsplit(url).netloc else url


def passes_every_field(head: RequestHead) -> Decision:
    """As a gate that has found nothing to take away."""
    decision = a_gate().decide(head)
    if isinstance(decision, Forward):
        names = {name for name, _ in decision.fields}
        decision.fields[:0] = [field for field in head.fields if field[0] not in names]
    return decision


def minds_no_underscores(head: RequestHead) -> Decision:
    decision = a_gate().decide(head)
    if isinstance(decision, Forward):
        decision.fields[:0] = [field for field in head.fields if b"_" in field[0]]
    return decision


def trusts_any_peer(head: RequestHead) -> Decision:
    return a_gate().decide(replace(head, peer="10.0.0.1"))


def wants_no_header(head: RequestHead) -> Decision:
    fields = [field for field in head.fields if field[0].lower() != b"x-csrf"]
    return a_gate().decide(replace(head, fields=[*fields, (b"X-CSRF", b"1")]))


def counts_hosts(address: str) -> str:
    """Every address of an IPv6 network by itself."""
    try:
        return str(ipaddress.ip_interface(address).network)
    except ValueError:
        return address


def keeps_what_is_printable(agent: str) -> str:
    return "".join(filter(str.isprintable, agent))[:256]


def takes_the_last_description(fields: Sequence[Field], peer: str | None) -> RequestHead:
    found = {name.lower(): value for name, value in fields}
    method, target = found.get(b"x-forwarded-method"), found.get(b"x-forwarded-uri")
    if not method or not target:
        raise BadRequest
    return RequestHead(method.decode("latin-1"), target, fields, peer)


class ForgetsTheMask:
    """Reads frames as if they were not masked."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def is_at_one(self) -> bool:
        unmasked = bytearray(self._data)
        for at in range(1, len(unmasked), 2):
            unmasked[at] &= 0x7F
        return len(self._data) in boundaries(bytes(unmasked))

    def feed(self, data: bytes) -> None:
        self._data += data


def asks_for_anything(query: bytes) -> LoginRequest:
    pairs = dict(parse_qsl(query.decode("latin-1"), errors="replace"))
    hint = pairs.get("login_hint")
    return LoginRequest(prompt=pairs.get("prompt"), login_hint=hint, ui_locales=pairs.get("scope"))


def writes_data_as_it_is(events: Sequence[tuple[str, dict[str, object]]]) -> bytes:
    blocks = (f'event: {name}\ndata: {{"reason": "{data["reason"]}"}}\n\n' for name, data in events)
    return "".join(blocks).encode()


def counts_keys_only(text: str) -> Mapping[KeyPath, int]:
    return {(name,): 1 for name in tomllib.loads(text)}
