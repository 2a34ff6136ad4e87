"""What a browser's request meets on its way: one is sent to the public URL, with a ticket for which
the gateway tells how it has arrived (`endpoints.arrival`).

No request header but the ticket and those that every client sends is set, so that each forwarded
field has been written by a proxy.
"""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from bff.cli.checks.verdict import Verdict, bad, good, printable, warning
from bff.config.frontends import Frontend
from bff.endpoints.arrival import TICKET
from bff.observability.reasons import reason_of

ITEM = "public URL"
SECONDS = 10.0
MAX_BYTES = 64 * 1024
OF_THE_CADDYFILE = "gateway_unreachable"  # as it answers in the place of the gateway
UNAVAILABLE = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `document` is empty where it was no JSON object; `code` is that of a problem
    (RFC 9457), as the gateway answers it."""

    status: int
    document: Mapping[str, object] = field(repr=False)
    code: str
    location: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """How the request has arrived at the gateway. `peer` is None on a Unix socket; `client` is the
    address that counts as the client's."""

    peer: str | None
    is_peer_trusted: bool
    client: str
    fields: Mapping[str, Sequence[str]]

    @property
    def addresses(self) -> list[str]:
        """Those of X-Forwarded-For, the client's first."""
        claims = ",".join(self.fields.get("x-forwarded-for", ()))
        return [one.strip() for one in claims.split(",") if one.strip()]

    @property
    def proxy(self) -> str:
        return "the proxy on the Unix socket" if self.peer is None else f"the proxy {self.peer}"


async def on_public_url(frontend: Frontend, ticket: str, tls: ssl.SSLContext) -> Sequence[Verdict]:
    """What one request to the address of a frontend has met."""
    url = f"{frontend.settings.server.public_url}{frontend.prefix}/arrival"
    try:
        answer = await _get(url, ticket, tls)
    except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as error:
        reason = reason_of(error, ca_setting="--ca-file")
        return [
            bad(
                ITEM,
                f"{frontend.url} can't be reached from here: {reason}",
                "see the name (DNS), the firewall and the proxy in front; browsers meet the same, "
                "unless they are in another network than this command",
            )
        ]
    arrived = _arrived(answer)
    if arrived is None:
        return [_not_arrived(frontend, answer)]
    return [*on_arrival(frontend, arrived)]


async def _get(url: str, ticket: str, tls: ssl.SSLContext) -> Answer:
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as http,
        http.get(url, headers={TICKET: ticket}, allow_redirects=False) as answer,
    ):
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > MAX_BYTES:
                break
        try:
            document = json.loads(bytes(body))
        except ValueError:
            document = None
        document = document if isinstance(document, dict) else {}
        is_problem = answer.content_type == "application/problem+json"
        code = printable(str(document.get("code", ""))) if is_problem else ""
        return Answer(answer.status, document, code, answer.headers.get("Location", ""))


def _arrived(answer: Answer) -> Arrived | None:
    """None when it is no answer of the endpoint."""
    document = answer.document
    fields, peer = document.get("fields"), document.get("peer")
    if answer.status != 200 or not isinstance(fields, dict) or "is_peer_trusted" not in document:
        return None
    return Arrived(
        None if peer is None else printable(str(peer)),
        document["is_peer_trusted"] is True,
        printable(str(document.get("client"))),
        {
            str(name): [printable(str(value)) for value in values]
            for name, values in fields.items()
            if isinstance(values, list)
        },
    )


def _not_arrived(frontend: Frontend, answer: Answer) -> Verdict:
    url, status, authority = frontend.url, answer.status, frontend.settings.server.authority
    code = answer.code
    if code == "misdirected_host":
        return bad(
            ITEM,
            f"the gateway gets another Host than {authority} for {url}",
            "have the proxy keep it (nginx: `proxy_set_header Host $http_host;`), or send it as "
            "X-Forwarded-Host from an address in server.trusted_proxies",
        )
    if code == "not_found":
        return bad(
            ITEM,
            f"a gateway answers at {url}, but not the one that was asked for the ticket",
            "have the proxy lead to this one; replicas of one gateway need the same "
            "session.secrets, store and release",
        )
    if code and code != OF_THE_CADDYFILE:
        return bad(ITEM, f"at {url} the gateway answers {code}", f"see docs/errors.md, {code}")
    if status in UNAVAILABLE:
        return bad(
            ITEM,
            f"what is in front of the gateway at {url} does not reach it (status {status})",
            f"have it lead to server.listen, {frontend.settings.server.listen}, and see its log",
        )
    if answer.location:
        host = printable(urlsplit(answer.location).netloc) or "another path"
        return bad(
            ITEM,
            f"{url} leads elsewhere, to {host} (status {status})",
            "have what is in front pass everything below it on, without a login or redirect of its "
            "own; public_url has to be the address at which browsers end up",
        )
    return bad(
        ITEM,
        f"what answers at {url} is not the gateway (status {status})",
        f"have it pass {frontend.prefix}/ on to server.listen, {frontend.settings.server.listen}",
    )


def on_arrival(frontend: Frontend, arrived: Arrived) -> Iterator[Verdict]:
    """What the proxies have made of the request."""
    yield good(ITEM, f"{frontend.url} leads to this gateway")
    forwarded = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")
    is_direct = not any(arrived.fields.get(name) for name in forwarded)
    if is_direct and not frontend.settings.server.is_https:
        yield good("forwarded for", f"no proxy is in front: {arrived.client} is the client")
        return
    yield _on_client(arrived)
    yield _on_scheme(frontend, arrived)


def _on_client(arrived: Arrived) -> Verdict:
    item, addresses = "forwarded for", arrived.addresses
    if not addresses:
        other = ", but Forwarded, which is not read" if arrived.fields.get("forwarded") else ""
        return bad(
            item,
            f"{arrived.proxy} sends no X-Forwarded-For{other}: all users have one address, "
            f"{arrived.client}, and share its limits",
            "have it send the client's address "
            "(nginx: `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`)"
            + _and_trust(arrived),
        )
    if not arrived.is_peer_trusted:
        return bad(
            item,
            f"{arrived.proxy} is not in server.trusted_proxies: its X-Forwarded-For does not "
            f"count, all users have its address, and share its limits",
            f"add {_network(arrived.peer)} to server.trusted_proxies",
        )
    if arrived.client != _plain(addresses[0]):
        return bad(
            item,
            f"{arrived.client} counts as the client, and is a proxy: {addresses[0]} is the client",
            f"add {_network(arrived.client)} to server.trusted_proxies, if it is yours",
        )
    return good(item, f"{arrived.client}, by X-Forwarded-For of {arrived.proxy}")


def _on_scheme(frontend: Frontend, arrived: Arrived) -> Verdict:
    item, own = "scheme", "https" if frontend.settings.server.is_https else "http"
    said = arrived.fields.get("x-forwarded-proto", ())
    if [one.lower() for one in said] == [own]:
        return good(item, f"X-Forwarded-Proto is {own}, as public_url")
    found = f"says X-Forwarded-Proto: {', '.join(said)}" if said else "sends no X-Forwarded-Proto"
    return warning(
        item,
        f"{arrived.proxy} {found}, and public_url is {own}. This gateway and the APIs behind it go "
        "by public_url; a program that the proxy serves beside it may not.",
        "Have the outermost proxy set it (nginx: `proxy_set_header X-Forwarded-Proto $scheme;`)",
    )


def _and_trust(arrived: Arrived) -> str:
    if arrived.is_peer_trusted:
        return ""
    return f", and add {_network(arrived.peer)} to server.trusted_proxies"


def _network(address: str | None) -> str:
    """The narrowest network of an address, as a key of TOML has it."""
    try:
        bits = ip_address(address or "").max_prefixlen
    except ValueError:
        return "its address"
    return f'"{address}/{bits}"'


def _plain(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address
