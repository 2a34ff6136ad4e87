"""The steps of one real login, each with a verdict: the answer of the OP, the client's secret, the
ID token, UserInfo, claims, the refresh, the revocation. No token, code or claim's value is in any.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace

from bff.cli.checks.provider import OFFLINE, is_keycloak
from bff.cli.checks.verdict import Verdict, bad, good, printable, refused, warning
from bff.clock import Clock
from bff.config.settings import Settings
from bff.errors import (
    AccessTokenUnusable,
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    IdTokenInvalid,
    LoginDenied,
)
from bff.model import LoginTransaction, Session, Tokens
from bff.oidc.identity import Identity
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.callback import require_code

_ID_TOKEN: Mapping[str, str] = {
    "missing": "the OP sent none: has {table}.scope openid, and is it a client of OpenID Connect?",
    "alg": "it is signed with another algorithm than {table}.id_token_algs allows",
    "iss": "it is from another issuer than {table}.issuer, or none of {table}.issuer_tenants",
    "key_issuer": "it is signed with a key that the OP keeps for another issuer",
    "aud": "it is not made for {table}.client_id",
    "aud_untrusted": "it is made for others as well: name them in {table}.trusted_audiences",
    "exp": "it is over already: compare the clocks of this machine and the OP ({table}.leeway)",
    "iat": "its time is not now: compare the clocks of this machine and the OP ({table}.leeway)",
    "nonce": "it is not the answer to this login",
    "key_unknown": "the OP's jwks_uri lacks the key that it is signed with",
    "signature": "its signature is wrong",
}


class LoginSteps:
    """One login from the OP's answer on. `identity` is there once it has succeeded."""

    def __init__(
        self,
        settings: Settings,
        oidc: RelyingPartySettings,
        relying_party: RelyingParty,
        clock: Clock,
        transaction: LoginTransaction,
    ) -> None:
        self._settings = settings
        self._oidc = oidc
        self._relying_party = relying_party
        self._clock = clock
        self._transaction = transaction
        self.identity: Identity | None = None

    async def run(self, query: str) -> AsyncIterator[Verdict]:
        """`query` is that of the callback; its `state` has been compared."""
        yield good("redirect URI", f"the OP came back to {self._oidc.redirect_uri}")
        try:
            response = await self._relying_party.authorization_response(query)
            await self._relying_party.require_response_issuer(response)
            code = require_code(response)
        except BffError as error:
            again = "Log in once more, or see what the OP lacks."
            advice = again if isinstance(error, LoginDenied) else ""
            yield refused("login", error, advice)
            return
        async for verdict in self._redeemed(code, response.iss):
            yield verdict
        if self.identity is None:
            return
        async for verdict in self._with_identity(self.identity):
            yield verdict

    async def _redeemed(self, code: str, iss: str | None) -> AsyncIterator[Verdict]:
        accepted = good("client secret", "the OP accepted it, and the code")
        oidc = self._oidc
        try:
            self.identity = await self._relying_party.redeem(code, self._transaction, iss=iss)
        except ClientRejected as error:
            yield bad(
                "client secret",
                f"the OP does not accept it ({error.log_detail}): compare "
                f"{oidc.table}.client_secret and "
                f'{oidc.table}.client_auth = "{oidc.client_auth}" with what is registered there',
            )
        except CodeRejected as error:
            yield refused(
                "code", error, "Is another gateway in between, or does the OP ask for no PKCE?"
            )
        except IdTokenInvalid as error:
            yield accepted
            why = _ID_TOKEN.get(error.check, "see id_token_invalid in docs/errors.md")
            why = why.format(table=oidc.table)
            yield bad("ID token", f"{printable(error.log_detail)}: {why}")
        except BffError as error:
            yield refused("tokens", error)
        else:
            yield accepted
            yield _id_token(self.identity)

    async def _with_identity(self, identity: Identity) -> AsyncIterator[Verdict]:
        claims = dict(identity.claims)
        if self._oidc.userinfo:
            try:
                probe = self._relying_party.probe()
                more = await probe.userinfo(identity.tokens, identity.sub, identity.issuer)
            except BffError as error:
                yield refused("UserInfo", error)
            else:
                claims |= more
                yield _userinfo(more, self._oidc.table)
        yield from_claims(self._settings.user.claims, self._oidc, claims)
        async for verdict in self._refreshed(identity):
            yield verdict
        yield await self._revoked((self.identity or identity).tokens)

    async def _refreshed(self, identity: Identity) -> AsyncIterator[Verdict]:
        tokens = identity.tokens
        life = _duration(tokens.lifetime_seconds)
        if tokens.refresh_token is None:
            yield bad(
                "refresh",
                f"the OP gave no refresh token: each session ends after {life}. "
                f"{await self._how_to_get_one()}",
            )
            return
        try:
            new = (await self._relying_party.refresh(self._session(identity))).tokens
        except GrantRejected as error:
            yield refused("refresh", error, "May this client use the refresh_token grant there?")
        except (AccessTokenUnusable, IdTokenInvalid) as error:
            if error.tokens is not None:  # they took the place of the others, and are revoked
                self._replace_tokens(identity, error.tokens)
            yield refused("refresh", error)
        except BffError as error:
            yield refused("refresh", error)
        else:
            rotated = (
                "is rotated" if new.refresh_token != tokens.refresh_token else "stays the same"
            )
            until = new.refresh_expires_at
            rest = f", good for {_duration(until - new.obtained_at)}" if until else ""
            detail = f"works: access tokens last {life}, the refresh token {rotated}{rest}"
            yield good("refresh", detail)
            self._replace_tokens(identity, new)

    def _replace_tokens(self, identity: Identity, tokens: Tokens) -> None:
        self.identity = replace(identity, tokens=tokens)

    async def _how_to_get_one(self) -> str:
        metadata = await self._relying_party.metadata()
        listed = metadata.scopes_supported or ()
        asked = self._oidc.scope.split()
        if OFFLINE in listed and OFFLINE not in asked and not is_keycloak(metadata):
            return f"Add {OFFLINE} to {self._oidc.table}.scope"
        return "Allow this client the refresh_token grant there"

    async def _revoked(self, tokens: Tokens) -> Verdict:
        item = "revocation"
        if not self._oidc.revoke_on_logout:
            off = f"{self._oidc.table}.revoke_on_logout is off"
            return warning(item, f"{off}: tokens live on after a logout")
        if (await self._relying_party.metadata()).revocation_endpoint is None:
            return warning(item, "the OP has no revocation_endpoint: tokens live on after a logout")
        reason = await self._relying_party.revoke(tokens)
        if reason is None:
            return good(item, "the OP has revoked the tokens of this login")
        return bad(item, f"tokens live on after a logout: {printable(reason)}")

    def _session(self, identity: Identity) -> Session:
        now = self._clock.now()
        return Session(
            key="",
            version=1,
            issuer=identity.issuer,
            provider=identity.provider,
            sub=identity.sub,
            sid=identity.sid,
            created_at=now,
            expires_at=now + 1,
            idle_expires_at=now + 1,
            tokens=identity.tokens,
            acr=identity.acr,
            auth_time=identity.auth_time,
            resources=identity.resources,
        )


def _id_token(identity: Identity) -> Verdict:
    session = "names" if identity.sid is not None else "does not name"
    return good("ID token", f"is verified, and {session} the OP's session (sid)")


def _userinfo(claims: Mapping[str, object], table: str) -> Verdict:
    if claims:
        return good("UserInfo", f"brings {_names(claims)}")
    return warning(
        "UserInfo",
        "the OP refuses the access token there (401 or 403), as it is made for an API: take claims "
        f"from the ID token, and set {table}.userinfo = false",
    )


def from_claims(
    wanted: Iterable[str], oidc: RelyingPartySettings, claims: Mapping[str, object]
) -> Verdict:
    """Whether what the application is to learn of the user is there."""
    missing = [name for name in wanted if name not in claims]
    if not missing:
        return good("claims", "all of user.claims are there")
    hint = "" if oidc.userinfo else f", or try {oidc.table}.userinfo = true"
    return warning(
        "claims",
        f"the OP does not send {', '.join(missing)} of user.claims: ask for the scope they "
        f"belong to{hint}",
    )


def _names(claims: Mapping[str, object]) -> str:
    return printable(", ".join(sorted(name for name in claims if name != "sub")) or "only sub")


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
