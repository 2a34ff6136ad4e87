"""What the OP says, and whether it goes with the settings: metadata, keys, the client and its
redirect URI. It is asked what a login would ask, without a user.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from bff.cli.checks.verdict import Verdict, bad, good, printable, refused, warning
from bff.errors import (
    BffError,
    ClientRejected,
    LoginError,
    LoginRefused,
    OpAnswerMalformed,
    OpError,
    OpMetadataRefused,
)
from bff.oidc.client_auth.methods import PRIVATE_KEY_JWT, require_supported
from bff.oidc.dpop import ALGS, chosen_alg
from bff.oidc.probe import SilentLogin
from bff.oidc.profiles import what_is_lacking
from bff.oidc.provider.metadata import ProviderMetadata, discovery_url
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import LoginRequest
from bff.oidc.steps.authorization_details import require_types_supported
from bff.oidc.steps.pushed_request import push_endpoint
from bff.oidc.steps.request_object import signing_alg
from bff.oidc.steps.signed_response import mode_to_ask_for

OFFLINE = "offline_access"
# What an OP answers `prompt=none` with where no user is logged in (OIDC Core section 3.1.2.6).
_NO_USER = frozenset(
    {"login_required", "interaction_required", "consent_required", "account_selection_required"}
)
_REFUSED_LOGIN: Mapping[str, str] = {
    "invalid_scope": "it does not give this client a scope of {table}.scope",
    "unauthorized_client": "it does not let this client use the authorization code flow: allow it",
    "unsupported_response_type": "it does not let this client use the authorization code flow",
    "invalid_request": "it wants something else in the request: see {table}.authorization_params",
    "access_denied": "it denies access to all, or to this client",
}  # fmt: skip


MOST_REDIRECT_URIS = 20  # are asked about, of a client that has one for each frontend


async def on_provider(
    relying_party: RelyingParty,
    registered: Sequence[RelyingParty],
    acr: Sequence[str],
    *,
    introspects: bool = False,
) -> AsyncIterator[Verdict]:
    """All there is to say of the OP, in the order in which a login would meet it. `registered` are
    the same client at the redirect URIs that it has; `acr` are the values that the configuration
    names. `introspects`: a route asks the OP about tokens."""
    settings = relying_party.settings
    try:
        await relying_party.start()
        try:
            metadata = await relying_party.metadata()
        except OpError as error:
            yield await _unusable(relying_party, error)
            return
        document = await relying_party.probe().document()
        methods = tuple(on_client_auth(settings, metadata))
        for verdict in methods:
            yield verdict
        if methods:
            return
        await relying_party.require_keys()
        yield good("OP", f"{settings.issuer}: metadata and keys are good")
        yield good("client authentication", _told_of_client_auth(settings, metadata))
        for verdict in on_metadata(settings, metadata, document):
            yield verdict
        for verdict in _on_acr(acr, document):
            yield verdict
        yield await _client(relying_party)
        if introspects:
            yield await _introspection(relying_party)
        for one in registered[:MOST_REDIRECT_URIS]:
            yield await _redirect_uri(one)
    except BffError as error:
        yield refused("OP", error)
    finally:
        await relying_party.close()


def on_client_auth(settings: RelyingPartySettings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    """OIDC Discovery section 3, `token_endpoint_auth_methods_supported`."""
    listed, ours = metadata.token_auth_methods, settings.client_auth
    if listed is None or ours in listed:
        try:
            require_supported(settings.authentication(), metadata)
        except OpMetadataRefused as error:
            yield refused("OP", error)
    else:
        yield bad(
            "OP",
            f"{settings.table}.client_auth is {ours}, but it takes {_list(listed)} only",
            "set one of these",
        )


def _told_of_client_auth(settings: RelyingPartySettings, metadata: ProviderMetadata) -> str:
    alg = require_supported(settings.authentication(), metadata)
    signed = f", signed with {alg}" if alg is not None else ""
    kid = f", kid {settings.client_keys[0].kid}" if settings.client_auth == PRIVATE_KEY_JWT else ""
    return f"{settings.client_auth}{signed}{kid}"


def on_metadata(
    settings: RelyingPartySettings, metadata: ProviderMetadata, document: Mapping[str, object]
) -> Iterator[Verdict]:
    """What the OP lacks of what the settings ask for. `document` is the whole of its metadata."""
    yield from _on_profile(settings, metadata)
    yield from _on_signatures(settings, document)
    yield from _on_requests(settings, metadata)
    yield from _on_device_login(settings, metadata)
    yield from _on_responses(settings, metadata)
    try:
        require_types_supported(settings.all_authorization_details, metadata)
    except OpMetadataRefused as error:
        yield bad("OP", f"{settings.table}.authorization_details: {error.log_detail}")
    yield from _on_dpop(settings, metadata)
    if settings.userinfo and metadata.userinfo_endpoint is None:
        yield bad("OP", f"{settings.table}.userinfo is true, but there is no userinfo_endpoint")
    if settings.revoke_on_logout and metadata.revocation_endpoint is None:
        yield warning("OP", "no revocation_endpoint: a logout can't revoke the refresh token")
    if metadata.end_session_endpoint is None:
        yield warning("OP", "no end_session_endpoint: a logout ends the session here only")
    yield from _on_offline_access(settings, metadata)
    if not metadata.sends_response_issuer:
        yield warning("OP", "does not name itself in its answers (RFC 9207)")


def _on_profile(settings: RelyingPartySettings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    name = f'{settings.table}.profile is "{settings.profile}"'
    lacking = [*what_is_lacking(settings.profile, metadata)]
    for one in lacking:
        yield bad("OP", f"{name}, but {one}", "no login begins without it")
    if settings.profile is not None and not lacking:
        yield good("OP", f"{name}, and has what that needs beside the following")


def _on_requests(settings: RelyingPartySettings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    table = settings.table
    try:
        pushes = push_endpoint(settings.par, metadata) is not None
    except OpMetadataRefused as error:
        yield bad("OP", f'{table}.par is "{settings.par}", but {error.log_detail}')
    else:
        way = "are pushed to it (RFC 9126)" if pushes else "go through the browser"
        yield good("OP", f"authorization requests {way}")
    mode = settings.request_object
    try:
        alg = signing_alg(mode, settings.client_keys, metadata)
    except OpMetadataRefused as error:
        yield bad("OP", f'{table}.request_object is "{mode}", but {error.log_detail}')
    else:
        if alg is not None:
            kid = settings.client_keys[0].kid
            yield good("OP", f"authorization requests are signed (RFC 9101) with {alg}, kid {kid}")


def _on_device_login(
    settings: RelyingPartySettings, metadata: ProviderMetadata
) -> Iterator[Verdict]:
    if not settings.device_login:
        return
    if metadata.device_endpoint is None:
        name = f"{settings.table}.device_login"
        yield bad("OP", f"{name} is true, but there is no device_authorization_endpoint")
    else:
        yield good("OP", "users may log in by device code (RFC 8628)")


def _on_responses(settings: RelyingPartySettings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    mode = settings.response_mode
    try:
        signed = mode_to_ask_for(mode, settings.id_token_algs, metadata) is not None
    except OpMetadataRefused as error:
        yield bad("OP", f'{settings.table}.response_mode is "{mode}", but {error.log_detail}')
    else:
        if signed:
            yield good("OP", "its answers to logins have to be signed (JARM)")


def _on_dpop(settings: RelyingPartySettings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    """RFC 9449 section 5.1."""
    key, listed = f"{settings.table}.dpop", metadata.dpop_algs
    if not settings.dpop:
        if listed and set(listed) & set(ALGS):
            yield good("OP", f"can bind access tokens to a key (RFC 9449): see {key}")
        return
    try:
        alg = chosen_alg(listed)
    except OpMetadataRefused as error:
        yield bad("OP", f"{key} is true, but {error.log_detail}")
        return
    if listed is None:
        yield warning(
            "OP",
            f"lists no dpop_signing_alg_values_supported, and {key} is true: where it does not "
            "know DPoP, no login succeeds",
        )
    else:
        yield good("OP", f"binds access tokens to a key of each session (RFC 9449, {alg})")


def _on_signatures(
    settings: RelyingPartySettings, document: Mapping[str, object]
) -> Iterator[Verdict]:
    listed, ours = (
        document.get("id_token_signing_alg_values_supported"),
        settings.id_token_algs,
    )
    if isinstance(listed, list) and listed and not set(map(str, listed)) & set(ours):
        yield bad(
            "OP",
            f"signs ID tokens with {_list(listed)}, but {settings.table}.id_token_algs allows "
            f"{_list(ours)} only",
            "name the one that this client is given",
        )


def _on_acr(acr: Sequence[str], document: Mapping[str, object]) -> Iterator[Verdict]:
    # A warning only: the list need not hold all that it knows (Discovery section 3).
    listed = document.get("acr_values_supported")
    missing = [one for one in acr if isinstance(listed, list) and one not in listed]
    if missing:
        yield warning(
            "OP",
            f"does not list {_list(missing)} in acr_values_supported, which require_acr or "
            "acr_order names: a step-up would not end",
        )


def _on_offline_access(
    settings: RelyingPartySettings, metadata: ProviderMetadata
) -> Iterator[Verdict]:
    # Of no other scope: an OP need not list all that it knows (Discovery section 3).
    listed, asked = metadata.scopes_supported, settings.scope.split()
    scope = f"{settings.table}.scope"
    if OFFLINE in asked and is_keycloak(metadata):
        yield warning(
            "OP",
            f"is a Keycloak, which makes offline sessions of {OFFLINE}: no single sign-on, no "
            "back-channel logout, and they stay behind.",
            f"Take it out of {scope}: refresh tokens come without it",
        )
    elif OFFLINE in asked and listed is not None and OFFLINE not in listed:
        yield warning("OP", f"does not list the scope {OFFLINE}, which {scope} asks for")
    elif OFFLINE not in asked and listed and OFFLINE in listed and not is_keycloak(metadata):
        yield warning(
            "OP",
            f"lists the scope {OFFLINE}, which {scope} does not ask for: many OPs give no "
            "refresh token without it, and sessions then end with their first access token.",
            "`bff check --login` finds out",
        )


def is_keycloak(metadata: ProviderMetadata) -> bool:
    """By its addresses, which are the same in every Keycloak."""
    return "/protocol/openid-connect/" in urlsplit(metadata.token_endpoint).path


async def _unusable(relying_party: RelyingParty, error: OpError) -> Verdict:
    """Metadata that can't be had or used: why, and what to do."""
    ours, table = relying_party.settings.issuer, relying_party.settings.table
    if isinstance(error, OpAnswerMalformed):
        where = discovery_url(ours)
        return refused("OP", error, f"Is {where} the place of its metadata? See {table}.issuer.")
    if isinstance(error, OpMetadataRefused):
        theirs = (await relying_party.probe().document()).get("issuer")
        if isinstance(theirs, str) and theirs != ours:
            return bad(
                "OP",
                f"calls itself {printable(theirs)}, but {table}.issuer is {ours}: they must be the "
                f"same to the letter{_slash(theirs, ours)} (issuer is not the configured one)",
            )
    return refused("OP", error)


def _slash(theirs: str, ours: str) -> str:
    same = theirs.rstrip("/") == ours.rstrip("/")
    return "; only the slash at the end differs" if same else ""


async def _client(relying_party: RelyingParty) -> Verdict:
    oidc, table = relying_party.settings, relying_party.settings.table
    error = await relying_party.probe().client()
    if error is None:
        return good("client", f"the OP knows {oidc.client_id} and accepts its secret")
    if isinstance(error, ClientRejected) and "unauthorized_client" in error.log_detail:
        return bad(
            "client",
            f"the OP knows {oidc.client_id} but does not let it redeem authorization codes",
            "allow it the authorization code flow there",
        )
    if isinstance(error, ClientRejected):
        return bad(
            "client",
            f"the OP does not accept {oidc.client_id} with this secret ({error.log_detail})",
            f"compare {table}.client_id, {table}.client_secret and {table}.client_auth = "
            f'"{oidc.client_auth}" with what is registered there',
        )
    return warning(
        "client",
        f"it can't be told whether the OP accepts the secret ({printable(error.log_detail)}).",
        "`bff check --login` finds out",
    )


async def _introspection(relying_party: RelyingParty) -> Verdict:
    """It is asked about a token that was never given."""
    try:
        is_active = await relying_party.is_active("never-given")
    except OpError as error:
        advice = "Calls of routes with introspect will be refused."
        return refused("introspection", error, advice)
    if is_active:
        return bad("introspection", "the OP says that a token which it never gave counts")
    return good("introspection", "the OP says whether a token counts (RFC 7662)")


async def _redirect_uri(relying_party: RelyingParty) -> Verdict:
    uri = relying_party.settings.redirect_uri
    try:
        request = await relying_party.authorization_request(LoginRequest(prompt="none"))
        found = await relying_party.probe().silent_login(request)
        return on_silent_login(found, uri, relying_party.settings.table)
    except OpError as error:
        return refused("redirect URI", error, "Logins will fail the same way.")
    except LoginRefused as error:  # of a pushed request
        advice = f"Register exactly {uri} as a redirect URI of the client there."
        return refused("redirect URI", error, advice)
    except LoginError as error:  # an answer that is not signed as it has to be
        table = relying_party.settings.table
        advice = f"Logins will fail so too: see {table}.response_mode and {table}.id_token_algs."
        return refused("redirect URI", error, advice)


def on_silent_login(found: SilentLogin, uri: str, table: str) -> Verdict:
    """What the OP's answer to `prompt=none` says of the redirect URI."""
    item = "redirect URI"
    if found.came_back and (not found.error or found.error in _NO_USER):
        return good(item, f"{uri} is registered")
    if found.came_back:
        why = _REFUSED_LOGIN.get(found.error, "see its manual or its log for that code")
        why = why.format(table=table)
        refusal = f"{uri} is registered, but the OP refuses logins ({found.error})"
        return bad(item, refusal, why)
    if found.status >= 400 or "error" in found.elsewhere:
        return bad(
            item,
            f"the OP does not lead back to {uri}",
            f"register exactly this as a redirect URI of the client there (status {found.status})",
        )
    where = f" to {printable(found.elsewhere)}" if found.elsewhere else ""
    return warning(
        item,
        f"it can't be told whether {uri} is registered: the OP led elsewhere{where} (status "
        f"{found.status}).",
        "`bff check --login` finds out",
    )


def _list(names: Sequence[object]) -> str:
    return printable(", ".join(map(str, names)))
