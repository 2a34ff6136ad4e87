"""What the client is to be that `bff register` asks an OP for, by the configuration; and the keys
of the configuration that describe the client which the OP has made.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bff.clock import SystemClock
from bff.config.frontends import Frontend, frontends_of
from bff.config.settings import Settings
from bff.gate.routes import TokenKind
from bff.oidc.client_auth.methods import BY_SECRET
from bff.oidc.registered_client import Difference, RegisteredClient, Weight
from bff.oidc.registration import LogoutUris, Permission, Registrar, client_metadata
from bff.oidc.settings import RelyingPartySettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client is to be, and whether the operator agrees to what an OP makes of it."""

    settings: RelyingPartySettings = field(repr=False)
    metadata: Mapping[str, object]
    accepts_changes: bool

    @classmethod
    def by(
        cls,
        settings: Settings,
        provider: str,
        name: str | None,
        *,
        accepts_changes: bool,
        names_scope: bool = True,
    ) -> "Wanted":
        """By every application that logs users in at the provider. A logout that the OP tells of
        at one of them ends the sessions of all."""
        [relying_party] = [one for one in settings.relying_parties() if one.name == provider]
        known = [one for one in frontends_of(settings) if provider in one.settings.providers]
        first = known[0]
        base = f"{first.settings.server.public_url}{first.prefix}"
        is_front_channel = settings.providers[provider].frontchannel_logout
        front_channel = f"{base}/frontchannel-logout" if is_front_channel else None
        metadata = client_metadata(
            relying_party,
            LogoutUris(f"{base}/backchannel-logout", front_channel),
            redirect_uris=[one.redirect_uri_of(provider) for one in known],
            post_logout_redirect_uris=[one.post_logout_uri_of(provider) for one in known],
            name=name or first.settings.server.authority,
            uri=first.url,
            jwks_uri=f"{base}/jwks",
            for_itself=any(_asks_for_itself(one, provider) for one in known),
        )
        if not names_scope:
            del metadata["scope"]
        return cls(relying_party, metadata, accepts_changes)

    @property
    def has_secret(self) -> bool:
        """Whether the gateway authenticates by a secret that the OP gives."""
        return self.settings.client_auth in BY_SECRET

    def shown(self, permission: Permission) -> dict[str, object]:
        """What will be sent, without tokens."""
        statement = permission.software_statement
        extra = {} if statement is None else {"software_statement": "..."}
        return {**self.metadata, **extra}

    def registrar(self) -> Registrar:
        return Registrar(self.settings, SystemClock())

    def is_usable(self, found: Iterable[Difference]) -> bool:
        """Whether the gateway can and may work with a client that differs so."""
        bearable = {Weight.IGNORED, *([Weight.CHANGED] if self.accepts_changes else [])}
        return all(difference.weight in bearable for difference in found)


def keys_text(wanted: Wanted, client: RegisteredClient, secret: Path, config: Path | None) -> str:
    """The keys of the provider that belong to the client, as the OP has registered it."""
    settings, registered = wanted.settings, client.metadata
    directory = config.parent if config is not None else Path()
    inside = secret.resolve().is_relative_to(directory.resolve())
    shown = secret.resolve().relative_to(directory.resolve()) if inside else secret.resolve()
    asked = wanted.metadata["id_token_signed_response_alg"]
    alg = registered.get("id_token_signed_response_alg", asked)
    algs = [alg] if alg != asked else list(settings.id_token_algs)
    method = registered.get("token_endpoint_auth_method", settings.client_auth)
    keys: dict[str, object] = {
        "issuer": settings.issuer,
        "client_id": client.client_id,
        **({"client_secret_file": str(shown)} if method in BY_SECRET else {}),
        "client_auth": method,
        "scope": _usable_scope(settings.scope, registered.get("scope"))
        if "scope" in wanted.metadata
        else settings.scope,
        "id_token_algs": algs,
    }
    # A JSON string or array of these is one of TOML as well.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in keys.items()]
    table = settings.table
    head = f"# Written by `bff register`. Put these keys into [{table}] of the configuration."
    return "\n".join([head, f"[{table}]", *lines, ""])


def _asks_for_itself(frontend: Frontend, provider: str) -> bool:
    """Client tokens are those of an application's first provider."""
    is_first = next(iter(frontend.settings.providers)) == provider
    return is_first and any(r.token is TokenKind.CLIENT for r in frontend.settings.routes)


def _usable_scope(asked: str, registered: object) -> str:
    if not isinstance(registered, str):
        return asked
    given = set(registered.split())
    return " ".join(token for token in asked.split() if token in given)
