"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0 section 2): the address to send the
browser to. `id_token_hint` is the one token that may ever stand in a URL, and only if configured.
"""

from collections.abc import Mapping

from bff.errors import OpMetadataRefused
from bff.oidc.provider.endpoint_url import parameter_names, with_parameters

# A request line of 8 KiB is what common servers take; a hint that would burst it is left out, the
# OP then knows us by `client_id`.
MAX_HINT_CHARS = 6 * 1024

# Stands for post_logout_redirect_uri in the value of a further parameter: it differs by frontend.
RETURN_ADDRESS = "{post_logout_redirect_uri}"

RESERVED_PARAMETERS = frozenset(
    {"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "logout_hint"}
)


def is_reserved(name: str) -> bool:
    """In any case of letters: some OPs tell none from the other."""
    return name.lower() in RESERVED_PARAMETERS


def require_unreserved(parameters: Mapping[str, str]) -> None:
    """Raises: ValueError when static parameters would override the protocol's."""
    reserved = sorted(filter(is_reserved, parameters))
    if reserved:
        raise ValueError(f"must not hold {', '.join(reserved)}, set by the gateway")


def end_session_url(
    endpoint: str,
    *,
    client_id: str,
    post_logout_redirect_uri: str | None,
    state: str,
    id_token_hint: str | None,
    static: Mapping[str, str],
) -> str:
    """The end-session endpoint with our parameters after its own. `RETURN_ADDRESS` in a value of
    `static` becomes the address that the OP returns to.

    Raises:
        OpMetadataRefused: the endpoint's own query already holds one of our parameters.
    """
    address = post_logout_redirect_uri or ""
    parameters = {name: value.replace(RETURN_ADDRESS, address) for name, value in static.items()}
    if id_token_hint is not None and len(id_token_hint) <= MAX_HINT_CHARS:
        parameters["id_token_hint"] = id_token_hint
    parameters["client_id"] = client_id
    if post_logout_redirect_uri is not None:
        parameters["post_logout_redirect_uri"] = post_logout_redirect_uri
        parameters["state"] = state  # section 2: comes back with the redirect
    if parameter_names(endpoint) & (RESERVED_PARAMETERS | parameters.keys()):
        raise OpMetadataRefused("end_session_endpoint holds a reserved parameter")
    return with_parameters(endpoint, parameters)
