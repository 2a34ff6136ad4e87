"""The decision: one canonical reading of a request head, the application it has come for, and what
becomes of it.

`Gate.decide` is the one door. It reads what is the same for every application, finds the one by
Host and path, and asks it (`gate.frontend`). Where something is lacking the answer is `Wait`;
`Admission` asks again with what it has found.
"""

from collections.abc import Iterable, Mapping

from bff.errors import BadRequest, BffError, MisdirectedHost, NotFound
from bff.gate.forwarding import Identities
from bff.gate.framing import MAX_FIELDS, require_sound_head
from bff.gate.frontend import Frontend, ReadRequest
from bff.gate.head import FieldReader, RequestHead, ScannedFields
from bff.gate.outcome import Answer, Decision, Known
from bff.gate.paths import Target, is_authority, read_target
from bff.gate.peers import TrustedProxies


class Gate:
    """`max_body_bytes` None is no limit."""

    def __init__(
        self,
        frontends: Iterable[Frontend],
        proxies: TrustedProxies,
        *,
        max_body_bytes: int | None = None,
    ) -> None:
        known = tuple(frontends)
        self._by_host = _by_host(known)
        self._identities = Identities(proxies)
        self._max_body_bytes = max_body_bytes
        self._reader = FieldReader({frontend.guard.header_name for frontend in known})

    def decide(self, head: RequestHead, known: Known | None = None) -> Decision:
        """The decision for a head, given what an earlier `Wait` has found."""
        # Of more fields than a head may have, only so many are looked at.
        fields = self._reader.scan(head.fields[:MAX_FIELDS])
        identity = self._identities.of(head.peer, fields)
        try:
            require_sound_head(head, fields, self._max_body_bytes)
        except BffError as error:
            return Answer(error, identity, ends_connection=True)
        try:
            target = read_target(head.target)
            frontend = self._frontend_of(target, fields, head.peer)
        except BffError as error:
            return Answer(error, identity)
        identity.frontend = frontend.rules.name
        return frontend.decide(ReadRequest(head, target, fields, identity, known))

    def route_of(self, head: RequestHead) -> str:
        """Where a request leads, as `Frontend.route_of` names it. Empty: it has come for no
        application, or leads nowhere there."""
        try:
            target = read_target(head.target)
            fields = self._reader.scan(head.fields[:MAX_FIELDS])
            frontend = self._frontend_of(target, fields, head.peer)
        except BffError:
            return ""
        return frontend.route_of(target.path)

    def _frontend_of(self, target: Target, fields: ScannedFields, peer: str | None) -> Frontend:
        # RFC 9112 section 3.2: exactly one valid Host; an absolute-form authority wins over it.
        hosts = fields.values(b"host")
        if len(hosts) != 1 or not (hosts[0] in self._by_host or is_authority(hosts[0])):
            raise BadRequest("missing, repeated or malformed Host")
        if target.authority is not None:
            authority = target.authority
        else:
            authority = self._identities.public_authority(peer, fields) or hosts[0].lower()
        there = self._by_host.get(authority)
        if there is None:
            raise MisdirectedHost
        return there.frontend_of(target.path)


class _Host:
    """The frontends that share a host, of which one may have all that is no other's."""

    def __init__(self, frontends: Iterable[Frontend]) -> None:
        self._by_path = {frontend.rules.base_path: frontend for frontend in frontends}
        self._depth = max(path.count(b"/") for path in self._by_path)

    def frontend_of(self, path: bytes) -> Frontend:
        """That with the longest base path on the way to this one. Raises: NotFound."""
        segments = path.split(b"/", self._depth + 1) if self._depth else ()
        for count in range(min(self._depth + 1, len(segments)), 1, -1):
            found = self._by_path.get(b"/".join(segments[:count]))
            if found is not None:
                return found
        if b"" not in self._by_path:
            raise NotFound
        return self._by_path[b""]


def _by_host(frontends: Iterable[Frontend]) -> Mapping[bytes, _Host]:
    found: dict[bytes, list[Frontend]] = {}
    for frontend in frontends:
        for host in frontend.rules.hosts:
            found.setdefault(host, []).append(frontend)
    return {host: _Host(there) for host, there in found.items()}
