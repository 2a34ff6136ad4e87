"""Signed authorization responses (JWT Secured Authorization Response Mode, JARM): the parameters of
the OP's answer are claims of a JWT that it signs for this client, errors included.

Nothing in the JWT counts before its signature is verified, and what is in it is then judged as a
plain answer is. Which of the two it has to be is the configuration's to say: the other is refused.
"""

from collections.abc import Collection, Mapping
from typing import Literal, get_args
from urllib.parse import parse_qsl

from bff.clock import Clock
from bff.errors import CallbackInvalid, LoginResponseInvalid, OpMetadataRefused
from bff.oidc.jwt.id_token import ID_TOKEN_TYP, IdTokenRules
from bff.oidc.jwt.key_source import KeySource
from bff.oidc.jwt.signed_jwt import JwtRefused, audiences_of, parse_jwt, stated_claims, time_of
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import away, differs, quoted
from bff.oidc.steps.callback import NAMES, AuthorizationResponse, response_of, signed_response_in

ResponseMode = Literal["query", "query.jwt"]
MODES: tuple[ResponseMode, ...] = get_args(ResponseMode)
QUERY, QUERY_JWT = MODES
_JWT = "jwt"  # the signed mode of a response type: for the code flow QUERY_JWT (JARM section 2.3.4)


def require_response_mode(mode: str) -> str:
    """One of `MODES`. Raises: ValueError, with the rest of a sentence about the setting."""
    if mode not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}")
    return mode


def mode_to_ask_for(mode: str, algs: Collection[str], metadata: ProviderMetadata) -> str | None:
    """The `response_mode` of a request; None for that of the code flow (OAuth 2.0 Multiple Response
    Types section 2.1). `algs` are those that the configuration accepts. An OP that lists no
    `query.jwt` may list `jwt`, which is the same here.

    Raises:
        OpMetadataRefused: the OP's lists leave out what its answer has to be (JARM section 3).
    """
    if mode == QUERY:
        return None
    modes, listed = metadata.response_modes, metadata.response_algs
    asked = _JWT if modes is not None and mode not in modes else mode
    if modes is not None and asked not in modes:
        raise OpMetadataRefused(f"response_modes_supported lacks {mode}: {quoted(modes)}")
    if listed is not None and not set(listed) & set(algs):
        raise OpMetadataRefused(
            f"authorization_signing_alg_values_supported has none of {', '.join(algs)}: "
            f"{quoted(listed)}"
        )
    return asked


def stated_state(raw: str) -> str | None:
    """The `state` in an answer's query, signed or not, as long as nothing of it is verified: to
    find the login that it may belong to."""
    fields: Mapping[str, object] = dict(parse_qsl(raw))
    if "response" in fields:
        fields = stated_claims(str(fields["response"])) or {}
    state = fields.get("state")
    return state if isinstance(state, str) else None


def process_signed_claims(
    claims: Mapping[str, object], rules: IdTokenRules, now: float
) -> AuthorizationResponse:
    """What they say (JARM section 2.4). Of a JWT that is not verified yet only a refusal counts.

    Raises:
        LoginResponseInvalid: `check` names the first check that failed.
        CallbackInvalid: as `response_of`, or a parameter is no text.
    """
    other = rules.issuers.why_not(claims.get("iss"))
    _require("iss", other is None, other or "")
    for_us = audiences_of(claims) == {rules.client_id}
    _require("aud", for_us, differs(claims.get("aud"), rules.client_id))
    exp, nbf, iat = (time_of(claims, name) for name in ("exp", "nbf", "iat"))
    latest = now + rules.leeway_seconds
    _require("exp", exp is not None and now < exp + rules.leeway_seconds, away(exp, now))
    if "nbf" in claims:
        _require("nbf", nbf is not None and nbf <= latest, away(nbf, now))
    if "iat" in claims:
        _require("iat", iat is not None and iat <= latest, away(iat, now))
    return response_of({name: _text(claims, name) for name in NAMES})


def _text(claims: Mapping[str, object], name: str) -> str | None:
    value = claims.get(name)
    if not isinstance(value, str | None):
        raise CallbackInvalid(f"{name} is no text")
    return value


def _require(check: str, held: bool, detail: str = "") -> None:
    if not held:
        raise LoginResponseInvalid(check, detail)


class SignedResponses:
    """Reads those of one OP, with its keys and the algorithms of the configuration."""

    def __init__(self, keys: KeySource, rules: IdTokenRules, clock: Clock) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock

    async def read(self, raw: str) -> AuthorizationResponse:
        """The answer in a query string, without its `?`.

        Raises:
            LoginResponseInvalid: the OP has not signed it, or not for this client and this time.
            CallbackInvalid: it is not signed, or malformed.
            OpError: no keys can be had, so that nothing is known about the signature.
        """
        signed = signed_response_in(raw)
        try:
            jwt = parse_jwt(signed, algs=self._rules.algs, accept_typ=ID_TOKEN_TYP)
            # First what costs nothing: no stranger's answer makes the gateway ask for keys.
            response = process_signed_claims(jwt.claims, self._rules, self._clock.now())
            await self._keys.verify(jwt)
        except JwtRefused as refused:
            raise LoginResponseInvalid(refused.check, refused.detail) from None
        return response
