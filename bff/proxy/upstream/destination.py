"""Where a decided request goes, and what of the answer comes back: an API, or our own endpoints."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bff.errors import DevServerUnreachable, UpstreamError
from bff.gate.head import HOP_BY_HOP, Field
from bff.gate.outcome import Forward, Local
from bff.model import Session
from bff.oidc.dpop import Proofs, stored_key
from bff.proxy.messages import UPGRADE, request_head
from bff.proxy.own_endpoints import LocalPool
from bff.proxy.upstream.answer_head import AnswerHead
from bff.proxy.upstream.challenge import NONCE_FIELD
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.responses import interim_fields, response_fields
from bff.proxy.upstream.targets import RouteTargets, UpstreamTarget

_NOT_FOR_LOCAL = HOP_BY_HOP | {b"expect", b"host"}
_NOT_FROM_LOCAL = HOP_BY_HOP | {b"server"}


class Destination(Protocol):
    """One way for one request. `kind` names its answer in metrics, None where that is counted
    already; `session` is the one that opened it; `websocket_key` is that of a handshake;
    `total_seconds` 0 is no limit; `may_renew`: a 401 may mean that the token is no longer good;
    `carries_user_token`: the request has the access token of the session's user;
    `access_token`: the one that it has, empty without; `is_bound`: it is bound to a key, and the
    request has a proof of that; `may_prove_again`: the API may still ask for another one. `route`
    is what metrics call where it goes; `is_own`: to the gateway itself."""

    @property
    def kind(self) -> str | None: ...

    session: Session | None
    websocket_key: bytes | None
    total_seconds: float
    may_renew: bool
    carries_user_token: bool
    access_token: str
    route: str
    is_own: bool
    is_bound: bool
    may_prove_again: bool

    def take(self) -> UpstreamConnection | None:
        """A connection that lies idle."""

    async def connect(self) -> UpstreamConnection:
        """A new one; to another upstream where one can't be reached.

        Raises:
            UpstreamError: none can.
        """

    def head(self, connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        """The request's head, for this connection."""

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        """What the browser may see; of the framing only Content-Length."""

    def interim_fields(self, answer: AnswerHead) -> list[Field]:
        """The same of an interim answer."""

    def keep_nonce(self, answer: AnswerHead) -> bool:
        """Keep what the answer has for the next proof. Whether that is another one."""

    def answered(self) -> None:
        """The upstream works."""

    def failed(self) -> None:
        """It does not."""

    def over(self) -> None:
        """Nothing more is asked of it."""


class UpstreamDestination:
    """To one of a route's upstreams. `own_fields` are added to every answer, and the field that
    `date` makes to one without a date.

    Raises:
        UpstreamBusy: the route has as many under way as it may.
    """

    __slots__ = (
        "_date", "_decision", "_is_over", "_nonce", "_own_fields", "_proofs", "_target", "_targets",
        "access_token", "carries_user_token", "is_bound", "may_prove_again", "may_renew", "route",
        "session", "total_seconds", "websocket_key",
    )  # fmt: skip

    kind = "forward"
    is_own = False

    def __init__(
        self,
        decision: Forward,
        targets: RouteTargets,
        own_fields: Sequence[Field],
        date: Callable[[], Field],
        proofs: Proofs,
    ) -> None:
        route, target = decision.route, targets.pick()
        if target is None:
            raise TypeError("a route without upstreams")
        self._decision = decision
        self._targets = targets
        self._own_fields = own_fields
        self._date = date
        self._proofs = proofs
        self._nonce: str | None = None  # of the proof that was sent
        self._target = target
        self._is_over = False
        self.route = route.name
        self.session = decision.session
        self.access_token = decision.access_token
        self.is_bound = self.may_prove_again = decision.dpop_key is not None
        self.websocket_key = decision.websocket_key
        self.total_seconds = route.total_timeout_seconds
        self.carries_user_token = route.carries_user_token
        self.may_renew = route.retry_unauthorized and route.carries_user_token

    def take(self) -> UpstreamConnection | None:
        return self._target.pool.take()

    async def connect(self) -> UpstreamConnection:
        tried: list[UpstreamTarget] = []
        while True:
            try:
                return await self._target.pool.connect()
            except UpstreamError as error:
                self.failed()
                self.over()
                tried.append(self._target)
                another = self._targets.pick(tried)
                if another is None:
                    if self._decision.route.dev_host is not None:
                        raise DevServerUnreachable(error.log_detail) from error
                    raise
                self._target, self._is_over = another, False

    def head(self, _connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        decision, target = self._decision, self._target
        fields = [*decision.fields, *framing] if framing else decision.fields
        if decision.websocket_key is not None:
            fields = [*fields, *UPGRADE]
        path = target.path(decision.path_and_query)
        if decision.dpop_key is not None:
            fields = [*fields, self._proof(decision.dpop_key, path.partition(b"?")[0])]
        return request_head(decision.method, path, target.host, fields)

    def _proof(self, dpop_key: str, path: bytes) -> Field:
        """For this request alone, and for this upstream (RFC 9449 section 7.1)."""
        self._nonce = self._proofs.nonce_of(self._target.server)
        proof = self._proofs.proof(
            stored_key(dpop_key),
            self._decision.method,
            self._target.server,
            path.decode("latin-1"),
            access_token=self.access_token,
        )
        return b"DPoP", proof.encode()

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        fields = response_fields(
            answer.fields,
            used_session=self.session is not None,
            forward_cookies=self._decision.route.forward_cookies,
            locations=self._target.locations,
            date=self._date(),
        )
        fields += self._own_fields
        fields.append((b"X-Request-ID", self._decision.identity.request_id.encode()))
        return fields

    def interim_fields(self, answer: AnswerHead) -> list[Field]:
        cookies = self._decision.route.forward_cookies
        return interim_fields(answer.fields, forward_cookies=cookies)

    def keep_nonce(self, answer: AnswerHead) -> bool:
        server = self._target.server
        for name, value in answer.fields:
            if name.lower() == NONCE_FIELD:
                self._proofs.keep_nonce(server, value.decode("latin-1"))
        # Not whether this answer has brought it: that of a request beside may have been sooner.
        return self._proofs.nonce_of(server) != self._nonce

    def answered(self) -> None:
        self._target.succeeded()

    def failed(self) -> None:
        if not self._is_over:
            self._target.failed(time.monotonic())

    def over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._targets.release(self._target)


class LocalDestination:
    """To one of our own endpoints. `method` and `fields` are the browser's."""

    __slots__ = (
        "_connection",
        "_decision",
        "_fields",
        "_method",
        "_pool",
        "route",
        "session",
        "websocket_key",
    )

    total_seconds = 0.0
    may_renew = False
    carries_user_token = False
    access_token = ""
    is_own = True
    is_bound = False
    may_prove_again = False

    def __init__(
        self, decision: Local, pool: LocalPool, method: str, fields: Sequence[Field]
    ) -> None:
        self._decision = decision
        self._pool = pool
        self._method = method
        self._fields = fields
        self.route = decision.route
        self.websocket_key: bytes | None = None
        self._connection: UpstreamConnection | None = None
        self.session: Session | None = None  # an endpoint knows by itself what ends with a session

    @property
    def kind(self) -> str | None:
        connection = self._connection
        is_refusal = connection is not None and self._pool.has_refused(connection)
        return None if is_refusal else "local"

    def take(self) -> UpstreamConnection | None:
        return self._pool.take()

    async def connect(self) -> UpstreamConnection:
        return await self._pool.connect()

    def head(self, connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        self._connection = connection
        self._pool.hand_over(connection, self._decision)
        target = self._decision.target
        fields = [item for item in self._fields if item[0].lower() not in _NOT_FOR_LOCAL]
        return request_head(self._method, target.path + target.suffix, b"bff", [*fields, *framing])

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        return [item for item in answer.fields if item[0].lower() not in _NOT_FROM_LOCAL]

    def interim_fields(self, answer: AnswerHead) -> list[Field]:
        return self.answer_fields(answer)

    def keep_nonce(self, _answer: AnswerHead) -> bool:
        return False

    def answered(self) -> None:
        """It always works."""

    def failed(self) -> None:
        """There is no other."""

    def over(self) -> None:
        """Nothing is counted."""
