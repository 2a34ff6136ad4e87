"""Pushed authorization requests (RFC 9126): the parameters go to the OP itself, with the client's
credentials, and the browser carries a reference to them.

A request that is to be pushed never goes through the browser instead, whatever the OP answers.
"""

import re
from typing import Literal, get_args

from bff.errors import BffError, ClientRejected, LoginRefused, OpAnswerMalformed, OpMetadataRefused
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.dpop import DpopKey
from bff.oidc.provider.endpoint_url import Parameters, parameter_names, with_parameters
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import error_code
from bff.oidc.steps.token_endpoint import stated_lifetime

ParMode = Literal["if-offered", "required", "off"]
MODES: tuple[ParMode, ...] = get_args(ParMode)
IF_OFFERED, REQUIRED, OFF = MODES

MAX_REFERENCE_CHARS = 2048
MAX_LIFETIME_SECONDS = 600.0
# What is left of a reference must suffice for the browser to bring it.
MIN_LIFETIME_SECONDS = 5.0
_REFERENCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # a URI (RFC 3986): no space and no quote
_OPERATOR = frozenset({"invalid_client", "unauthorized_client"})


def require_par_mode(mode: str) -> str:
    """One of `MODES`. Raises: ValueError, with the rest of a sentence about the setting."""
    if mode not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}")
    return mode


def push_endpoint(mode: str, metadata: ProviderMetadata) -> str | None:
    """Where requests are pushed to; None where they go through the browser.

    Raises:
        OpMetadataRefused: they must be pushed, by our settings or the OP's (RFC 9126 section 5),
            and they can't be.
    """
    endpoint = metadata.par_endpoint
    if mode == OFF:
        if metadata.requires_par:
            raise OpMetadataRefused(
                'require_pushed_authorization_requests is true, and par is "off"'
            )
        return None
    if endpoint is None and (mode == REQUIRED or metadata.requires_par):
        raise OpMetadataRefused("pushed_authorization_request_endpoint is missing")
    return endpoint


async def pushed_url(
    requests: ClientRequests,
    push_to: str,
    authorization_endpoint: str,
    client_id: str,
    parameters: Parameters,
    key: DpopKey | None = None,
) -> str:
    """Push the parameters; where to send the browser then, at once: the reference serves once. The
    request has a proof of `key`, if there is one (RFC 9449 section 10.1).

    Raises:
        LoginRefused, ClientRejected, OpError: as `process_push_response`.
        OpMetadataRefused: the authorization endpoint's own query holds a parameter of ours.
    """
    if parameter_names(authorization_endpoint) & {"client_id", "request_uri"}:
        raise OpMetadataRefused("authorization_endpoint holds a reserved parameter")
    answer = await requests.post("par", push_to, parameters, key=key)
    reference = process_push_response(answer.status, answer.document)
    # RFC 9126 section 4: these two, and nothing that another party could have put there.
    return with_parameters(
        authorization_endpoint, {"client_id": client_id, "request_uri": reference}
    )


def process_push_response(status: int, document: object) -> str:
    """The `request_uri` of an answer below 500 (RFC 9126 sections 2.2 and 2.3).

    Raises:
        LoginRefused: the OP does not take this request.
        ClientRejected: it does not accept the gateway itself.
        OpAnswerMalformed: anything else, a reference that is over before it can be used included.
    """
    if status not in (200, 201):  # some OPs answer 200
        raise request_refusal("par", status, document)
    if not isinstance(document, dict):
        raise OpAnswerMalformed("par: no JSON object")
    reference = document.get("request_uri")
    is_text = isinstance(reference, str) and len(reference) <= MAX_REFERENCE_CHARS
    if not isinstance(reference, str) or not is_text or not _REFERENCE.fullmatch(reference):
        raise OpAnswerMalformed("par: no usable request_uri")
    seconds = stated_lifetime(document.get("expires_in"), MAX_LIFETIME_SECONDS)
    if seconds is None or seconds < MIN_LIFETIME_SECONDS:
        raise OpAnswerMalformed(f"par: the request_uri lives for {seconds or 0:.0f} s")
    return reference


def request_refusal(endpoint: str, status: int, document: object) -> BffError:
    """What an error means with which `endpoint` answers a request for a login."""
    code = error_code(document)
    detail = f"{endpoint}: status {status}, error {code}"
    if status == 401 or code in _OPERATOR:
        return ClientRejected(detail)
    if status == 400 and isinstance(document, dict):
        return LoginRefused(detail)
    return OpAnswerMalformed(detail)
