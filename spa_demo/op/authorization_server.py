"""Authlib's authorization server, without a web framework: `FormRequest` in, `Answer` out.

Owns client authentication and the wiring of grants, endpoints and extensions. RFC 6749, RFC 9207.
"""

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import cast
from urllib.parse import unquote_plus

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    OAuth2Request,
)
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from authlib.oauth2.rfc9207 import IssuerParameter

from bff.clock import Clock
from spa_demo.dpop import FIELD, NonceWanted, ProofJudge, ProofRefused
from spa_demo.op.client_assertions import BY_KEY, BY_SECRET, ClientAssertions
from spa_demo.op.exchange import ExchangeGrant
from spa_demo.op.grants import (
    CodeGrant,
    IdTokens,
    IdTokensOnCode,
    MachineGrant,
    RequiredS256,
    RotatingRefreshGrant,
)
from spa_demo.op.keys import SigningKeys
from spa_demo.op.records import OpSession
from spa_demo.op.requests import Answer, DemoOAuth2Request, FormRequest
from spa_demo.op.settings import TOKEN_EXCHANGE, Client, OpSettings
from spa_demo.op.signed_responses import SignedResponses
from spa_demo.op.state import OpState
from spa_demo.op.token_endpoints import Introspection, Revocation
from spa_demo.op.tokens import TokenIssuer


class InvalidDpopProof(OAuth2Error):
    """RFC 9449 section 5."""

    error = "invalid_dpop_proof"


class UseDpopNonce(OAuth2Error):
    """RFC 9449 section 8."""

    error = "use_dpop_nonce"


class DemoServer(AuthorizationServer):
    """The protocol of the OP, synchronous; what it knows is in `state`."""

    def __init__(
        self, settings: OpSettings, state: OpState, keys: SigningKeys, clock: Clock
    ) -> None:
        super().__init__()
        self.settings = settings
        self.state = state
        self.keys = keys
        self.clock = clock
        self.tokens = TokenIssuer(settings, state, keys, clock)
        self._responses = SignedResponses(settings, keys, clock)
        self.proofs = ProofJudge(clock, wants_nonces=settings.dpop_nonces)
        self.register_client_auth_method("client_secret_basic", authenticate_basic)
        assertions = ClientAssertions(settings.issuer, clock)
        self.register_client_auth_method(BY_SECRET, assertions.by_secret)
        self.register_client_auth_method(BY_KEY, assertions.by_key)
        self.register_grant(CodeGrant, [RequiredS256(), IdTokensOnCode(self.tokens)])
        self.register_grant(RotatingRefreshGrant, [IdTokens(self.tokens)])
        self.register_grant(MachineGrant)
        self.register_grant(ExchangeGrant)
        self.register_endpoint(Revocation)
        self.register_endpoint(Introspection)
        self.register_extension(IssuerInResponse(settings.issuer))

    # --- what the web layer calls

    def require_code_grant(self, request: FormRequest, session: OpSession | None) -> CodeGrant:
        """Validate an authorization request.

        Raises: OAuth2Error, with `redirect_uri` set when the client may be told.
        """
        if request.repeats_a_parameter():
            raise InvalidRequestError("A parameter is repeated.")  # RFC 6749 section 3.1
        try:
            grant = self.get_consent_grant(request, end_user=session)  # type: ignore[no-untyped-call]
        except ValueError:
            # Authlib refuses to quote a value with characters that an error text may not have.
            raise InvalidRequestError("A parameter has characters that are not allowed.") from None
        return cast("CodeGrant", grant)

    def grant(self, grant: CodeGrant, session: OpSession | None) -> Answer:
        """The redirect with a code, or with `access_denied` when `session` is None."""
        answer = cast("Answer", self.create_authorization_response(grant.request, session, grant))
        payload = grant.request.payload
        return self._as_asked(answer, payload.data if payload else {}, grant.redirect_uri)

    def refuse(self, error: OAuth2Error, parameters: Mapping[str, str]) -> Answer:
        """The redirect that carries an error; the issuer is named there too (RFC 9207)."""
        error.state = parameters.get("state")
        answer = self.handle_response(*error())
        self.execute_hook("after_create_authorization_response", answer)
        return self._as_asked(answer, parameters, error.redirect_uri)

    def _as_asked(self, answer: Answer, parameters: Mapping[str, str], redirect_uri: str) -> Answer:
        """Signed, where the request with these parameters wants that."""
        if answer.location is not None and self._responses.are_asked_for(parameters):
            client_id = parameters.get("client_id", "")
            answer.location = self._responses.signed(answer.location, redirect_uri, client_id)
        return answer

    def answer_token_request(self, request: FormRequest) -> Answer:
        grant_type = dict(request.parameters).get("grant_type", "")
        known = {
            "authorization_code",
            "refresh_token",
            "client_credentials",
            TOKEN_EXCHANGE,
            DEVICE_CODE_GRANT_TYPE,
        }
        counters = self.state.counters
        counters.token_requests[grant_type if grant_type in known else "other"] += 1
        try:
            if request.repeats_a_parameter():
                raise InvalidRequestError("A parameter is repeated.")
            proven = self.proven(request)
            if self.settings.dpop == "required" and not proven.jkt:
                raise InvalidDpopProof("A proof of a key is needed.")
        except OAuth2Error as error:
            answer = self.handle_response(*error())
        else:
            answer = cast("Answer", self.create_token_response(proven))
        answer.headers |= self.proofs.headers()
        if isinstance(answer.body, Mapping) and answer.status != 200:
            counters.token_errors[str(answer.body.get("error"))] += 1
        return answer

    def proven(self, request: FormRequest) -> FormRequest:
        """The request with the key that it has a proof of, if it has one (RFC 9449 section 5).

        Raises:
            OAuth2Error: the proof is none.
        """
        proofs = [value for name, value in request.headers.items() if name == FIELD]
        if self.settings.dpop == "off" or not proofs:
            return request
        try:
            jkt = self.proofs.thumbprint(proofs, request.method, request.uri)
        except NonceWanted:
            raise UseDpopNonce("A nonce is needed in the proof.") from None
        except ProofRefused as refused:
            raise InvalidDpopProof(f"The proof is not valid: {refused}.") from None
        return replace(request, jkt=jkt)

    def answer_endpoint(self, name: str, request: FormRequest) -> Answer:
        """Revocation or introspection."""
        answer = self.create_endpoint_response(name, request)  # type: ignore[no-untyped-call]
        return cast("Answer", answer)

    # --- what Authlib calls

    def query_client(self, client_id: str) -> Client:
        # Authlib takes None for an unknown client; its stub does not say so.
        return cast("Client", self.state.clients.find(client_id))

    def save_token(self, token: object, request: OAuth2Request) -> None:
        """Nothing to do: `TokenIssuer` remembers what it issues."""

    def send_signal(self, name: object, *args: object, **kwargs: object) -> None:
        """Nothing to do: no code subscribes to Authlib's signals."""

    def create_oauth2_request(self, request: FormRequest) -> DemoOAuth2Request:
        if isinstance(request, DemoOAuth2Request):
            return request
        return DemoOAuth2Request(request)

    def handle_response(  # type: ignore[override]
        self, status: int, body: Mapping[str, object] | str, headers: Collection[tuple[str, str]]
    ) -> Answer:
        return Answer(status, body, dict(headers))

    def authenticate_client(
        self, request: OAuth2Request, methods: Collection[str], endpoint: str = "token"
    ) -> ClientMixin:
        # RFC 6749 section 2.3: not more than one authentication method in a request.
        headers = request.headers or {}
        in_form = {"client_secret", "client_assertion"} & request.form.keys()
        if len(in_form) + ("Authorization" in headers) > 1:
            raise InvalidRequestError("The client authenticates in two ways at once.")
        return super().authenticate_client(request, methods, endpoint)


def authenticate_basic(
    query_client: Callable[[str], ClientMixin], request: OAuth2Request
) -> ClientMixin | None:
    """`client_secret_basic`: both parts are form-url-encoded (RFC 6749 section 2.3.1)."""
    credentials = read_basic((request.headers or {}).get("Authorization", ""))
    if credentials is None:
        return None
    client_id, client_secret = credentials
    client: ClientMixin | None = query_client(client_id)
    if client is None or not client.check_client_secret(client_secret):
        return None
    return client


def read_basic(header: str) -> tuple[str, str] | None:
    """Client id and secret of a Basic header, decoded; None when there is no such header."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except ValueError:  # not base64, not ASCII
        return None
    client_id, colon, client_secret = pair.partition(":")
    return (unquote_plus(client_id), unquote_plus(client_secret)) if colon else None


class IssuerInResponse(IssuerParameter):
    """Names the issuer in every authorization response (RFC 9207 section 2)."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer
