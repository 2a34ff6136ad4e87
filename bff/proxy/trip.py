"""Where a decided request goes, and what of the answer comes back: an API, or our own endpoints."""

from collections.abc import Sequence
from typing import Protocol

from bff.errors import UpstreamError
from bff.gate.head import HOP_BY_HOP, Field
from bff.gate.outcome import Forward, Local
from bff.model import Session
from bff.proxy.local import LocalPool
from bff.proxy.messages import request_head
from bff.proxy.responses import response_fields
from bff.proxy.targets import RouteTargets, UpstreamTarget
from bff.proxy.upstream import AnswerHead, UpstreamConnection

_NOT_FOR_LOCAL = HOP_BY_HOP | {b"expect", b"host"}
_NOT_FROM_LOCAL = HOP_BY_HOP | {b"server"}


class Trip(Protocol):
    """One way for one request. `kind` names it in metrics; `session` is the one whose token goes
    along, if any does."""

    kind: str
    request_id: str
    session: Session | None

    def take(self) -> UpstreamConnection | None:
        """A connection that lies idle."""

    async def connect(self) -> UpstreamConnection:
        """A new one. Raises: UpstreamError."""

    def head(self, connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        """The request's head, for this connection."""

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        """What the browser may see; of the framing only Content-Length."""

    def over(self, error: UpstreamError | None) -> None:
        """The upstream has answered, has failed, or is no longer waited for."""


class UpstreamTrip:
    """To one of a route's upstreams. `own_fields` are added to every answer."""

    __slots__ = ("_decision", "_own_fields", "_target", "_targets", "request_id", "session")

    kind = "forward"

    def __init__(
        self, decision: Forward, targets: RouteTargets, own_fields: Sequence[Field]
    ) -> None:
        self._decision = decision
        self._targets = targets
        self._own_fields = own_fields
        self._target: UpstreamTarget = targets.pick()
        self.request_id = decision.identity.request_id
        self.session = decision.session

    def take(self) -> UpstreamConnection | None:
        return self._target.pool.take()

    async def connect(self) -> UpstreamConnection:
        return await self._target.pool.connect()

    def head(self, _connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        decision, target = self._decision, self._target
        fields = [*decision.fields, *framing] if framing else decision.fields
        path = target.path(decision.path_and_query)
        return request_head(decision.method, path, target.host, fields)

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        fields = response_fields(
            answer.fields,
            used_session=self.session is not None,
            forward_cookies=self._decision.route.forward_cookies,
        )
        fields += self._own_fields
        fields.append((b"X-Request-ID", self.request_id.encode()))
        return fields

    def over(self, error: UpstreamError | None) -> None:
        pass


class LocalTrip:
    """To one of our own endpoints. `method` is the browser's."""

    __slots__ = ("_decision", "_fields", "_method", "_pool", "request_id", "session")

    kind = "local"

    def __init__(
        self, decision: Local, pool: LocalPool, method: str, fields: Sequence[Field]
    ) -> None:
        self._decision = decision
        self._pool = pool
        self._method = method
        self._fields = fields
        self.request_id = decision.identity.request_id
        self.session: Session | None = (
            None  # an endpoint knows by itself what must end with a session
        )

    def take(self) -> UpstreamConnection | None:
        return self._pool.take()

    async def connect(self) -> UpstreamConnection:
        return await self._pool.connect()

    def head(self, connection: UpstreamConnection, framing: Sequence[Field]) -> bytes:
        self._pool.hand_over(connection, self._decision)
        target = self._decision.target
        fields = [item for item in self._fields if item[0].lower() not in _NOT_FOR_LOCAL]
        return request_head(self._method, target.path + target.suffix, b"bff", [*fields, *framing])

    def answer_fields(self, answer: AnswerHead) -> list[Field]:
        return [item for item in answer.fields if item[0].lower() not in _NOT_FROM_LOCAL]

    def over(self, error: UpstreamError | None) -> None:
        pass
