"""Provider metadata (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2): what of it we
use, the pure judgement whether it may be used, and how it is fetched.

Endpoints come from here, or by hand from the configuration. What the OP says it supports never
widens what the configuration allows: the algorithms of its own signatures are not even read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bff.clock import Clock
from bff.errors import OpAnswerMalformed, OpMetadataRefused
from bff.oidc.provider.cached import Cached
from bff.oidc.provider.endpoint_url import PlainHttp, is_endpoint_url, plain_http_policy
from bff.oidc.provider.http import OpHttp
from bff.oidc.provider.op_text import differs, quoted

WELL_KNOWN = "/.well-known/openid-configuration"
NOTHING_BY_HAND: Mapping[str, str] = MappingProxyType({})
# What the configuration calls an endpoint, and its name in the document.
ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "authorization": "authorization_endpoint",
        "token": "token_endpoint",
        "jwks": "jwks_uri",
        "userinfo": "userinfo_endpoint",
        "revocation": "revocation_endpoint",
        "end_session": "end_session_endpoint",
        "par": "pushed_authorization_request_endpoint",
        "device_authorization": "device_authorization_endpoint",
        "introspection": "introspection_endpoint",
    }
)
_ASK_FOR_CERTIFICATE = frozenset(
    {
        "token_endpoint",
        "revocation_endpoint",
        "userinfo_endpoint",
        "pushed_authorization_request_endpoint",
        "device_authorization_endpoint",
        "introspection_endpoint",
    }
)


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The verified part of the document. `token_auth_methods`, `token_auth_algs` (of client
    assertions), `dpop_algs`, `request_object_algs`, `response_modes`, `response_algs` (of signed
    responses), `scopes_supported` and `details_types` (RFC 9396) are None when none is listed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    par_endpoint: str | None = None
    device_endpoint: str | None = None
    introspection_endpoint: str | None = None
    requires_par: bool = False
    takes_request_object: bool = True
    requires_request_object: bool = False
    request_object_algs: tuple[str, ...] | None = None
    token_auth_methods: tuple[str, ...] | None = None
    token_auth_algs: tuple[str, ...] | None = None
    dpop_algs: tuple[str, ...] | None = None
    sends_response_issuer: bool = False
    response_modes: tuple[str, ...] | None = None
    response_algs: tuple[str, ...] | None = None
    scopes_supported: tuple[str, ...] | None = None
    details_types: tuple[str, ...] | None = None


def discovery_url(issuer: str) -> str:
    """Where the metadata of `issuer` lies (Discovery section 4)."""
    return issuer.removesuffix("/") + WELL_KNOWN


def process_metadata(
    status: int,
    document: object,
    *,
    issuer: str,
    allow_insecure_http: bool = False,
    http_hosts: Collection[str] = (),
    by_hand: Mapping[str, str] = NOTHING_BY_HAND,
    table: str = "oidc",
    uses_mtls: bool = False,
) -> ProviderMetadata:
    """Judge the answer to a discovery request for `issuer`, which `table` of the configuration
    names. Endpoints that are configured `by_hand`, under their names in the document, take the
    place of those in it; so do its aliases for a client that `uses_mtls` (RFC 8705 section 5).

    Raises:
        OpAnswerMalformed: not a 200 with a JSON object (a redirect included).
        OpMetadataRefused: another issuer, an insecure or missing endpoint, no S256, no `code`.
    """
    if status != 200 or not isinstance(document, dict):
        raise OpAnswerMalformed(f"discovery: status {status} or not a JSON object")
    _require_usable(document, issuer, table)
    plain_http = plain_http_policy(issuer, allow_insecure_http=allow_insecure_http)
    listed = {**document, **(_aliases(document) if uses_mtls else {})}

    def endpoint(name: str) -> str:
        return by_hand.get(name) or _endpoint(listed, name, plain_http, http_hosts)

    def optional(name: str) -> str | None:
        is_listed = name in by_hand or listed.get(name) is not None
        return endpoint(name) if is_listed else None

    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=endpoint("authorization_endpoint"),
        token_endpoint=endpoint("token_endpoint"),
        jwks_uri=endpoint("jwks_uri"),
        userinfo_endpoint=optional("userinfo_endpoint"),
        revocation_endpoint=optional("revocation_endpoint"),
        end_session_endpoint=optional("end_session_endpoint"),
        par_endpoint=optional("pushed_authorization_request_endpoint"),
        device_endpoint=optional("device_authorization_endpoint"),
        introspection_endpoint=optional("introspection_endpoint"),
        requires_par=document.get("require_pushed_authorization_requests") is True,
        # RFC 9101 section 10.5 has no list of what an OP takes; only a plain no is one.
        takes_request_object=document.get("request_parameter_supported") is not False,
        requires_request_object=document.get("require_signed_request_object") is True,
        request_object_algs=_advertised(document, "request_object_signing_alg_values_supported"),
        token_auth_methods=_names(document, "token_endpoint_auth_methods_supported"),
        token_auth_algs=_advertised(document, "token_endpoint_auth_signing_alg_values_supported"),
        dpop_algs=_advertised(document, "dpop_signing_alg_values_supported"),
        sends_response_issuer=document.get("authorization_response_iss_parameter_supported")
        is True,
        response_modes=_advertised(document, "response_modes_supported"),
        response_algs=_advertised(document, "authorization_signing_alg_values_supported"),
        scopes_supported=_advertised(document, "scopes_supported"),
        details_types=_advertised(document, "authorization_details_types_supported"),
    )


def _require_usable(document: Mapping[str, object], issuer: str, table: str) -> None:
    """It is this issuer's, and allows the code flow with PKCE. Raises: OpMetadataRefused."""
    # Discovery section 4.3, RFC 8414 section 3.3: identical, compared as a string.
    if document.get("issuer") != issuer:
        raise OpMetadataRefused(
            f"issuer {differs(document.get('issuer'), issuer)} ({table}.issuer)"
        )
    _require_listed(document, "response_types_supported", "code")
    # RFC 9700 section 2.1.1; an OP without the list may still do PKCE, one whose list lacks S256
    # does not.
    _require_listed(document, "code_challenge_methods_supported", "S256")


def _aliases(document: Mapping[str, object]) -> Mapping[str, object]:
    """Where the OP asks for a client certificate, by the names of the usual endpoints."""
    aliases = document.get("mtls_endpoint_aliases")
    if aliases is None:
        return {}
    if not isinstance(aliases, dict):
        raise OpMetadataRefused("mtls_endpoint_aliases is no JSON object")
    given = {name: url for name, url in aliases.items() if url is not None}
    return {name: url for name, url in given.items() if name in _ASK_FOR_CERTIFICATE}


def _endpoint(
    document: Mapping[str, object], name: str, plain_http: PlainHttp, http_hosts: Collection[str]
) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_endpoint_url(value, plain_http, http_hosts):
        raise OpMetadataRefused(f"{name} is missing, not a URL, or not https: {quoted(value)}")
    return value


def _names(document: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise OpMetadataRefused(f"{name} is not a list")
    return tuple(entry for entry in value if isinstance(entry, str))


def _advertised(document: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    """A list that nothing depends on: one that is malformed is as good as none."""
    value = document.get(name)
    return _names(document, name) if isinstance(value, list) else None


def _require_listed(document: Mapping[str, object], name: str, needed: str) -> None:
    names = _names(document, name)
    if names is not None and needed not in names:
        raise OpMetadataRefused(f"{name} lacks {needed}: {quoted(names)}")


class Discovery:
    """Provider metadata of one issuer: fetched from its own .well-known address, or from the one
    that is configured, and kept an hour. The document has to name the issuer all the same.

    Redirects are not followed (RFC 8414 section 6.2: the address is what proves the issuer).
    """

    def __init__(
        self,
        http: OpHttp,
        clock: Clock,
        issuer: str,
        *,
        url: str | None = None,
        allow_insecure_http: bool,
        http_hosts: Collection[str] = (),
        by_hand: Mapping[str, str] = NOTHING_BY_HAND,
        table: str,
        provider: str,
        uses_mtls: bool = False,
    ) -> None:
        self.provider = provider
        self._http = http
        self._issuer = issuer
        self._url = url or discovery_url(issuer)
        self._allow_insecure_http = allow_insecure_http
        self._http_hosts = http_hosts
        self._by_hand = by_hand
        self._table = table
        self._uses_mtls = uses_mtls
        self._cached = Cached("metadata", self._fetch, clock, provider=provider)

    async def metadata(self) -> ProviderMetadata:
        """Raises: OpError when there is none and none can be had."""
        return await self._cached.get()

    async def close(self) -> None:
        await self._cached.close()

    async def _fetch(self) -> ProviderMetadata:
        answer = await self._http.get("discovery", self._url)
        return process_metadata(
            answer.status,
            answer.document,
            issuer=self._issuer,
            allow_insecure_http=self._allow_insecure_http,
            http_hosts=self._http_hosts,
            by_hand=self._by_hand,
            table=self._table,
            uses_mtls=self._uses_mtls,
        )
