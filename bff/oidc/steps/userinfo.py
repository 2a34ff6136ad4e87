"""UserInfo (OIDC Core section 5.3): claims the ID token left out, believed only when they are about
the same user. A signed answer is verified like an ID token; encrypted ones are not taken.

An OP may refuse to answer: an access token made for an API is none for UserInfo (Entra ID, ADFS).
The login then goes by the ID token alone, and the log says so.
"""

from collections.abc import Mapping

import structlog

from bff.clock import Clock
from bff.errors import IdTokenInvalid, OpAnswerMalformed, OpMetadataRefused
from bff.model import Tokens
from bff.oidc.dpop import FIELD, Proofs, server_and_path, stored_key
from bff.oidc.jwt.id_token import ID_TOKEN_TYP, IdTokenRules
from bff.oidc.jwt.key_source import KeySource
from bff.oidc.jwt.signed_jwt import JwtRefused, audiences_of, parse_jwt
from bff.oidc.provider.http import OpAnswer, OpHttp
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import differs, lacks

MAX_USERINFO_BYTES = 64 * 1024  # becomes part of every session
REFUSALS = frozenset({401, 403})  # RFC 6750 section 3.1: invalid_token, insufficient_scope

NOTHING: Mapping[str, object] = {}

log = structlog.get_logger("bff.oidc")


class UserInfo:
    """The UserInfo endpoint of one OP."""

    def __init__(
        self,
        http: OpHttp,
        discovery: Discovery,
        keys: KeySource,
        rules: IdTokenRules,
        clock: Clock,
    ) -> None:
        self._http = http
        self._discovery = discovery
        self._keys = keys
        self._rules = rules
        self._proofs = Proofs(clock)  # as a resource server it has nonces of its own

    async def claims(self, tokens: Tokens, sub: str, issuer: str) -> Mapping[str, object]:
        """The claims about `sub` of `issuer`; none where the OP does not answer to these tokens.

        Raises:
            IdTokenInvalid: the answer is about another user or none, or its signature or what it
                says of itself is wrong; `check` begins with `userinfo_`.
            OpError: there is no answer, or none that can be used.
        """
        endpoint = (await self._discovery.metadata()).userinfo_endpoint
        if endpoint is None:
            raise OpMetadataRefused("userinfo_endpoint is missing but userinfo is configured")
        answer = await self._asked(endpoint, tokens)
        if answer.status in REFUSALS:
            log.warning("userinfo_refused", status=answer.status)
            return NOTHING
        if answer.status != 200 or answer.jwt is None:
            return process_userinfo(answer.status, answer.document, sub=sub)
        return process_userinfo(200, await self._verified(answer.jwt, issuer), sub=sub)

    async def _asked(self, endpoint: str, tokens: Tokens) -> OpAnswer:
        """Once more where the proof lacks a nonce that the answer has (RFC 9449 section 9)."""
        server, path = server_and_path(endpoint)

        async def ask() -> OpAnswer:
            headers = {"Authorization": f"Bearer {tokens.access_token}"}
            if tokens.dpop_key is not None:
                key, token = stored_key(tokens.dpop_key), tokens.access_token
                proof = self._proofs.proof(key, "GET", server, path, access_token=token)
                headers = {"Authorization": f"DPoP {token}", FIELD: proof}
            answer = await self._http.get(
                "userinfo", endpoint, headers, max_bytes=MAX_USERINFO_BYTES
            )
            self._proofs.keep_nonce(server, answer.dpop_nonce)
            return answer

        used = self._proofs.nonce_of(server)
        answer = await ask()
        has_another = self._proofs.nonce_of(server) != used
        wants_it = tokens.dpop_key is not None and answer.status == 401
        return await ask() if wants_it and has_another else answer

    async def _verified(self, text: str, issuer: str) -> Mapping[str, object]:
        """Section 5.3.2: a signed answer should name issuer and audience."""
        try:
            jwt = parse_jwt(text, algs=self._rules.algs, accept_typ=ID_TOKEN_TYP)
            claims = (await self._keys.verify(jwt)).claims
        except JwtRefused as refused:
            raise IdTokenInvalid(f"userinfo_{refused.check}", refused.detail) from None
        client_id = self._rules.client_id
        if claims.get("iss", issuer) != issuer:
            raise IdTokenInvalid("userinfo_iss", differs(claims["iss"], issuer))
        if "aud" in claims and client_id not in audiences_of(claims):
            raise IdTokenInvalid("userinfo_aud", lacks(claims["aud"], client_id))
        return claims


def process_userinfo(status: int, document: object, *, sub: str) -> Mapping[str, object]:
    """Judge a UserInfo answer for the user `sub` of the ID token.

    Raises:
        IdTokenInvalid: `userinfo_sub`, the answer is about another user or none.
        OpAnswerMalformed: not a 200 with a JSON object.
    """
    if status != 200 or not isinstance(document, dict):
        raise OpAnswerMalformed(f"userinfo: status {status} or not a JSON object")
    if document.get("sub") != sub:  # section 5.3.2: MUST be identical, else not used
        raise IdTokenInvalid("userinfo_sub")
    return document
