"""How the gateway registers itself at an OP as a client (RFC 7591, OpenID Connect Dynamic Client
Registration 1.0), and reads, changes and deletes that registration later (RFC 7592).

What the OP answers is judged here and believed nowhere else: `bff.oidc.registered_client` says
whether the client that it made is the one that was asked for. Tokens and secrets are in no `repr`
and in no text of an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from bff.clock import Clock
from bff.errors import OpError
from bff.oidc.client_auth.keys import certificate_subject
from bff.oidc.client_auth.methods import TLS
from bff.oidc.provider.http import OpAnswer, OpHttp
from bff.oidc.provider.metadata import ENDPOINTS, discovery_url, process_metadata
from bff.oidc.provider.op_text import error_code, quoted
from bff.oidc.registered_client import (
    Management,
    RegisteredClient,
    UnusableAnswer,
    process_registration,
)
from bff.oidc.settings import RelyingPartySettings, jwk_set
from bff.oidc.steps.authorization_details import types_of
from bff.oidc.steps.pushed_request import REQUIRED
from bff.oidc.steps.token_endpoint import Grant

Metadata = Mapping[str, object]


class RegistrationFailed(Exception):
    """The text is for the operator: what is wrong and what to do, also where the OP has, or may
    have, made the client all the same."""


@dataclass(frozen=True, slots=True)
class LogoutUris:
    """Where the OP tells the gateway of logouts. `front_channel` is None where it is not served."""

    back_channel: str
    front_channel: str | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """What an OP may ask for before it registers a client (RFC 7591 sections 2.3 and 3)."""

    initial_access_token: str | None = field(default=None, repr=False)
    software_statement: str | None = field(default=None, repr=False)


def client_metadata(
    settings: RelyingPartySettings,
    logout: LogoutUris,
    *,
    redirect_uris: Sequence[str],
    post_logout_redirect_uris: Sequence[str],
    name: str,
    uri: str,
    jwks_uri: str,
    for_itself: bool = False,
) -> dict[str, object]:
    """What the client is to be (RFC 7591 section 2), at all addresses to which the OP sends
    browsers. `for_itself`: it also asks for tokens of its own, by client credentials.
    `jwks_uri`: where its public keys are served; an OP can reach no loopback host of this machine.

    Raises:
        ValueError, OSError: the client certificate can't be used.
    """
    grant_types = ["authorization_code", "refresh_token"]
    if for_itself:
        grant_types.append(Grant.CLIENT.value)
    if settings.device_login:
        grant_types.append(Grant.DEVICE.value)
    metadata: dict[str, object] = {
        "client_name": name,
        "client_uri": uri,
        "redirect_uris": list(redirect_uris),
        "response_types": ["code"],
        "grant_types": grant_types,
        "token_endpoint_auth_method": settings.client_auth,
        "scope": settings.scope,
        "id_token_signed_response_alg": settings.id_token_algs[0],
        "backchannel_logout_uri": logout.back_channel,
        "backchannel_logout_session_required": settings.backchannel_logout_session_required,
        "post_logout_redirect_uris": list(post_logout_redirect_uris),
    }
    if settings.is_known_by_keys:  # RFC 7591 section 2: one of both
        by_value = jwks_uri.startswith("http:")
        keys = jwk_set([settings]) if by_value else jwks_uri
        metadata["jwks" if by_value else "jwks_uri"] = keys
    if settings.signs_requests:
        # RFC 9101 section 10.5: of this client the OP takes no other request from now on. Which
        # algorithm signs follows from the key and the OP's list, at each request.
        metadata["require_signed_request_object"] = True
    if settings.par == REQUIRED:
        # RFC 9126 section 6: of this client the OP takes no request through the browser.
        metadata["require_pushed_authorization_requests"] = True
    if settings.wants_signed_responses:  # JARM section 3
        metadata["authorization_signed_response_alg"] = settings.id_token_algs[0]
    if settings.all_authorization_details:  # RFC 9396 section 10
        metadata["authorization_details_types"] = types_of(settings.all_authorization_details)
    if settings.client_auth == TLS and settings.network.cert_file is not None:
        metadata["tls_client_auth_subject_dn"] = certificate_subject(settings.network.cert_file)
    if settings.dpop:
        metadata["dpop_bound_access_tokens"] = True  # RFC 9449 section 5.2
    if logout.front_channel is not None:
        metadata["frontchannel_logout_uri"] = logout.front_channel
        metadata["frontchannel_logout_session_required"] = True
    return metadata


class Registrar:
    """Speaks with the registration endpoint of one OP, in the settings of the client to be."""

    def __init__(self, settings: RelyingPartySettings, clock: Clock) -> None:
        self._settings = settings
        self._http = OpHttp(
            clock,
            timeout_seconds=settings.timeout_seconds,
            ca_file=settings.ca_file,
            table=settings.table,
            network=settings.network,
        )

    async def __aenter__(self) -> Self:
        await self._http.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def register(self, metadata: Metadata, permission: Permission) -> RegisteredClient:
        """Make the client (RFC 7591 section 3).

        Raises:
            RegistrationFailed: there is none, or none that can be used.
        """
        endpoint = await self._endpoint()
        token = permission.initial_access_token
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        document = dict(metadata)
        if permission.software_statement is not None:
            document["software_statement"] = permission.software_statement
        try:
            answer = await self._http.send_json("POST", "registration", endpoint, document, headers)
        except OpError as error:
            raise RegistrationFailed(
                f"{error}: whether the OP has made the client is not known. Look there, and delete "
                "it before you try again"
            ) from None
        if answer.status not in (200, 201):
            secrets = (token, permission.software_statement)
            raise RegistrationFailed(_why_refused(answer, metadata, token, secrets))
        return self._judged(answer, None, is_made=True)

    async def read(self, management: Management) -> RegisteredClient:
        """The client as it is registered (RFC 7592 section 2.1). Raises: RegistrationFailed."""
        answer = await self._manage("GET", management, None)
        return self._judged(answer, management, is_made=False)

    async def update(
        self, management: Management, client_id: str, client_secret: str, metadata: Metadata
    ) -> RegisteredClient:
        """Put `metadata` in the place of what is registered (RFC 7592 section 2.2).

        Raises:
            RegistrationFailed: nothing has changed, or it is not known what has.
        """
        secret = {"client_secret": client_secret} if client_secret else {}
        document = {**metadata, "client_id": client_id, **secret}
        answer = await self._manage("PUT", management, document)
        return self._judged(answer, management, is_made=True)

    async def delete(self, management: Management) -> None:
        """Delete the client (RFC 7592 section 2.3). Raises: RegistrationFailed."""
        await self._manage("DELETE", management, None)

    async def _endpoint(self) -> str:
        """Where clients are registered, by the OP's verified metadata."""
        settings = self._settings
        try:
            url = settings.discovery_url or discovery_url(settings.issuer)
            answer = await self._http.get("discovery", url)
            process_metadata(
                answer.status,
                answer.document,
                issuer=settings.issuer,
                allow_insecure_http=settings.allow_insecure_http,
                http_hosts=settings.http_hosts,
                by_hand={ENDPOINTS[name]: url for name, url in settings.endpoints.items()},
            )
        except OpError as error:
            raise RegistrationFailed(f"the OP's metadata can't be had: {error}") from None
        document = answer.document if isinstance(answer.document, dict) else {}
        endpoint = document.get("registration_endpoint")
        if endpoint is None:
            raise RegistrationFailed(
                "the OP registers no clients by itself: its metadata has no registration_endpoint. "
                "Register the client there by hand; --dry-run shows with which values"
            )
        if not isinstance(endpoint, str) or not self._settings.is_endpoint(endpoint):
            raise RegistrationFailed(
                f"the OP's registration_endpoint is no https URL: {quoted(endpoint)}"
            )
        return endpoint

    async def _manage(
        self, method: str, management: Management, document: Metadata | None
    ) -> OpAnswer:
        if not self._settings.is_endpoint(management.uri):
            raise RegistrationFailed("registration_client_uri is no https URL")
        headers = {"Authorization": f"Bearer {management.token}"}
        try:
            answer = await self._http.send_json(
                method, "registration", management.uri, document, headers
            )
        except OpError as error:
            raise RegistrationFailed(str(error)) from None
        done = (204, 200) if method == "DELETE" else (200,)
        if answer.status not in done:
            secrets = (management.token, str((document or {}).get("client_secret", "")))
            raise RegistrationFailed(_why_not_managed(answer, secrets))
        return answer

    def _judged(
        self, answer: OpAnswer, known: Management | None, *, is_made: bool
    ) -> RegisteredClient:
        try:
            return process_registration(answer.document, self._settings.is_endpoint, known)
        except UnusableAnswer as error:
            rest = "; look there for the client, and delete it before you try again"
            raise RegistrationFailed(f"{error}{rest if is_made else ''}") from None


def _why_refused(
    answer: OpAnswer, metadata: Metadata, token: str | None, secrets: tuple[str | None, ...]
) -> str:
    """RFC 7591 section 3.2.2, RFC 6750 section 3.1."""
    said = _said(answer, secrets)
    if answer.status in (401, 403):
        if token is None:
            return (
                f"the OP wants an initial access token{said}. Have its administrator give you one, "
                "and name the file that holds it with --initial-access-token-file"
            )
        if error_code(answer.document) == "insufficient_scope":
            return (
                f"the OP does not let a client that registers itself have these scopes{said}. With "
                "--no-scope it is asked for none, and gives those that all clients have"
            )
        return (
            f"the OP does not accept the initial access token{said}. It may be wrong, expired, "
            "used up, or not meant for such a client"
        )
    match error_code(answer.document):
        case "invalid_redirect_uri":
            uris = quoted(metadata["redirect_uris"])
            return f"the OP does not accept the redirect URI {uris}{said}. See server.public_url"
        case "invalid_client_metadata":
            return (
                f"the OP does not accept what the client is to be{said}. --dry-run shows it; it "
                "comes from [server] and [oidc]"
            )
        case "invalid_software_statement" | "unapproved_software_statement":
            return f"the OP does not accept the software statement{said}"
    return f"{_unexpected(answer)}{said}"


def _why_not_managed(answer: OpAnswer, secrets: tuple[str | None, ...]) -> str:
    """RFC 7592 sections 2.1 to 2.3: 401 is also the answer for a client that is gone."""
    said = _said(answer, secrets)
    if answer.status in (401, 404):
        return (
            f"the OP does not know this registration any more{said}: the client has been deleted "
            "there, or the registration access token is an old one"
        )
    if answer.status in (403, 405):
        return f"the OP does not let the client do this itself{said}. Do it there by hand"
    if answer.status == 400:
        return f"the OP does not accept what the client is to be{said}. It stays as it was"
    return f"{_unexpected(answer)}{said}"


def _unexpected(answer: OpAnswer) -> str:
    if 300 <= answer.status < 400:
        parts = urlsplit(answer.location or "")
        to = quoted(f"{parts.scheme}://{parts.netloc}{parts.path}")
        return f"the OP's registration endpoint leads on to {to}, which is not followed"
    return f"the OP's registration endpoint answers with status {answer.status}"


def _said(answer: OpAnswer, secrets: tuple[str | None, ...]) -> str:
    """The OP's own words for an operator, without a secret of ours that it may repeat."""
    document = answer.document if isinstance(answer.document, dict) else {}
    words = ": ".join(
        word
        for word in (document.get("error"), document.get("error_description"))
        if isinstance(word, str)
    )
    for secret in filter(None, secrets):
        words = words.replace(secret, "***")
    return f" ({answer.status}, {quoted(words)})" if words else f" ({answer.status})"
