"""What a gateway does with its relying party, in the order it does it."""

from collections.abc import Callable

from bff.model import LoginTransaction, Session
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import LoginRequest
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp

MakeRp = Callable[..., RelyingParty]


def settings_for(issuer: str, **changes: object) -> RelyingPartySettings:
    values: dict[str, object] = {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uri": "https://app.example.test/bff/callback",
        "post_logout_redirect_uri": "https://app.example.test/",
        "scope": "openid profile",
        "timeout_seconds": 60.0,
        **changes,
    }
    return RelyingPartySettings(**values)  # type: ignore[arg-type]  # a table of settings


async def begin(
    rp: RelyingParty, op: ScriptedOp, login: LoginRequest | None = None, issuer: str | None = None
) -> LoginTransaction:
    """The transaction of a login; the OP will put its nonce into the ID token."""
    wanted = login or LoginRequest()
    request = await rp.authorization_request(wanted)
    op.nonce = request.nonce
    return LoginTransaction(
        issuer=issuer or op.issuer,
        code_verifier=request.code_verifier,
        nonce=request.nonce,
        binder_hash="",
        return_url="/",
        created_at=op.clock.now(),
        acr_values=wanted.acr_values,
        max_age=wanted.max_age,
        resources=request.resources,
        dpop_key=request.dpop_key,
    )


async def log_in(rp: RelyingParty, op: ScriptedOp) -> Session:
    identity = await rp.redeem("the-code", await begin(rp, op))
    now = op.clock.now()
    return Session(
        key="0" * 64,
        version=1,
        issuer=identity.issuer,
        sub=identity.sub,
        sid=identity.sid,
        created_at=now,
        expires_at=now + 3600,
        idle_expires_at=now + 3600,
        tokens=identity.tokens,
        auth_time=identity.auth_time,
        acr=identity.acr,
        resources=identity.resources,
    )
