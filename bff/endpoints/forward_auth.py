"""`/bff/auth`, for proxies that carry the bytes themselves and ask first: Caddy's forward_auth,
nginx's auth_request, Traefik's ForwardAuth.

The answer to a request that may pass holds the bearer token, for the proxy to copy. So this is
served on a listener of its own, to trusted proxies only, and must never be one of the endpoints
that a browser can reach. The gate decides, as for every other request; refused beyond that is only
what needs a proof that the proxy can't make (RFC 9449).
"""

import secrets
from collections.abc import Mapping

from aiohttp import web

from bff.errors import BffError, MethodNotAllowed, NotFound, ProxyNotTrusted, TokenBound
from bff.gate.admission import Admission
from bff.gate.forwarding import RequestIdentity
from bff.gate.outcome import Answer, Forward
from bff.gate.peers import TrustedProxies, forward_auth_request
from bff.gate.problem import OwnResponses
from bff.gate.refusals import Refusals, unforeseen
from bff.observability.metrics import Metrics

MAY_PASS = 204
METHODS = ("GET", "HEAD")
# Of the head that the gate has made for the API, what a proxy can't make by itself.
_FOR_THE_PROXY = frozenset({b"authorization", b"cookie", b"x-request-id"})
_UNKNOWN_PEER = ""
_SERVER = {"Server": "bff"}  # aiohttp would name itself


class ForwardAuth:
    """One call is one question of a proxy. `path` is the only one that exists here. `refusals` are
    by frontend; those without a name are for requests that have come for none."""

    def __init__(
        self,
        admission: Admission,
        proxies: TrustedProxies,
        refusals: Mapping[str, Refusals],
        own: OwnResponses,
        metrics: Metrics,
        *,
        path: str,
    ) -> None:
        self._admission = admission
        self._proxies = proxies
        self._refusals = refusals
        self._headers: Mapping[str, str] = own.headers() | _SERVER
        self._metrics = metrics
        self._path = path

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._answer(request)
        except ProxyNotTrusted as error:
            response = self.refused(request, error)
            response.force_close()
        except BffError as error:
            response = self.refused(request, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            identity = _unknown()
            response = self._problem(
                request,
                unforeseen(error, identity.request_id),
                identity,
                method=request.method,
                route=self._path,
            )
        if "Upgrade" in request.headers:
            response.force_close()  # to the parser, no further request follows
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        peer = _peer_of(request)
        if not self._proxies.trusts(peer):
            raise ProxyNotTrusted
        if request.raw_path.partition("?")[0] != self._path:
            raise NotFound
        if request.method not in METHODS:
            raise MethodNotAllowed(METHODS)
        head = forward_auth_request(request.raw_headers, peer)
        decision = await self._admission.admit(head)
        if isinstance(decision, Forward) and decision.dpop_key is not None:
            decision = Answer(TokenBound(), decision.identity)
        if isinstance(decision, Answer):
            return self._problem(
                request,
                decision.error,
                decision.identity,
                method=head.method,
                route=self._admission.route_of(head),
                clear=decision.clear_cookie,
            )
        if not isinstance(decision, Forward):
            raise TypeError("the gate of this listener knows of no own endpoints")
        self._metrics.answered("auth", MAY_PASS, frontend=decision.identity.frontend)
        return web.Response(status=MAY_PASS, headers={**self._headers, **_to_copy(decision)})

    def refused(self, request: web.BaseRequest, error: BffError) -> web.Response:
        """The answer to a request that the gate has not seen."""
        return self._problem(request, error, _unknown(), method=request.method, route=self._path)

    def _problem(
        self,
        request: web.BaseRequest,
        error: BffError,
        identity: RequestIdentity,
        *,
        method: str,
        route: str,
        clear: bool = False,
    ) -> web.Response:
        problem = self._refusals[identity.frontend].problem(
            error,
            request.raw_headers,
            identity.request_id,
            method=method,
            route=route,
            address=identity.client_address,
            clear=clear,
        )
        headers = {**problem.headers, **_SERVER}
        return web.Response(status=problem.status, headers=headers, body=problem.body)


def _unknown() -> RequestIdentity:
    """The name of a request that the gate has given none."""
    return RequestIdentity(secrets.token_hex(16), ())


def _to_copy(decision: Forward) -> dict[str, str]:
    return {
        name.decode(): value.decode("utf-8", "replace")
        for name, value in decision.fields
        if name.lower() in _FOR_THE_PROXY
    }


def _peer_of(request: web.BaseRequest) -> str | None:
    """As in `RequestHead`. An unknown address is no proxy's, and never that of a Unix socket."""
    name = request.get_extra_info("peername")
    if isinstance(name, tuple):
        return str(name[0])
    return None if isinstance(request.get_extra_info("sockname"), str) else _UNKNOWN_PEER
