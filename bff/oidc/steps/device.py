"""The device authorization request (RFC 8628 sections 3.1 and 3.2): the OP is asked for a code that
the user enters at another device, and for another one that only the client knows, which the token
endpoint is asked about until the user has decided.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bff.errors import OpAnswerMalformed, OpMetadataRefused
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.provider.endpoint_url import Parameters
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.pushed_request import request_refusal
from bff.oidc.steps.token_endpoint import VSCHAR, stated_lifetime

DEFAULT_INTERVAL_SECONDS = 5.0  # section 3.2
SLOW_DOWN_SECONDS = 5.0  # section 3.5
MAX_INTERVAL_SECONDS = 300.0
MAX_LIFETIME_SECONDS = 3600.0
MAX_CODE_CHARS = 4096
MAX_USER_CODE_CHARS = 64

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What the OP answers. The user opens `verification_uri` and enters `user_code`, or opens
    `verification_uri_complete`, where the OP has one. `device_code` is for us alone. `resources`
    are those that were asked for (RFC 8707)."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    verification_uri: str
    verification_uri_complete: str | None = field(repr=False)
    expires_in_seconds: float
    interval_seconds: float
    resources: tuple[str, ...] = ()


def require_device_endpoint(metadata: ProviderMetadata) -> str:
    """Raises: OpMetadataRefused: the OP has no such endpoint."""
    if metadata.device_endpoint is None:
        raise OpMetadataRefused("device_authorization_endpoint is missing")
    return metadata.device_endpoint


async def device_authorization(
    requests: ClientRequests,
    endpoint: str,
    *,
    client_id: str,
    scope: str,
    static: Mapping[str, str],
    authorization_details: str,
    resources: tuple[str, ...],
    is_page: Callable[[object], bool],
) -> DeviceAuthorization:
    """Ask the OP for codes. `static`, `authorization_details` and `resources` as in an
    authorization request. Raises as `process_device_response`."""
    parameters: Parameters = {
        "client_id": client_id,
        "scope": scope,
        **static,
        **({"resource": resources} if resources else {}),
        **({"authorization_details": authorization_details} if authorization_details else {}),
    }
    answer = await requests.post("device_authorization", endpoint, parameters)
    authorization = process_device_response(answer.status, answer.document, is_page)
    return replace(authorization, resources=resources)


def process_device_response(
    status: int, document: object, is_page: Callable[[object], bool]
) -> DeviceAuthorization:
    """The codes in an answer below 500 (RFC 8628 section 3.2). `is_page`: whether a user may be
    sent to such a URL.

    Raises:
        LoginRefused: the OP does not take this request.
        ClientRejected: it does not accept the gateway itself, or not for this grant.
        OpAnswerMalformed: anything else.
    """
    if status != 200:
        raise request_refusal("device_authorization", status, document)
    if not isinstance(document, dict):
        raise OpAnswerMalformed("device_authorization: no JSON object")
    # Section 3.2: `verification_url` is the name that some OPs gave it before the RFC.
    uri = document.get("verification_uri", document.get("verification_url"))
    complete = document.get("verification_uri_complete")
    seconds = stated_lifetime(document.get("expires_in"), MAX_LIFETIME_SECONDS)
    if seconds is None:
        raise OpAnswerMalformed("device_authorization: no usable expires_in")
    interval = stated_lifetime(document.get("interval"), MAX_INTERVAL_SECONDS)
    return DeviceAuthorization(
        device_code=_text(document, "device_code", VSCHAR, MAX_CODE_CHARS),
        user_code=_text(document, "user_code", _PRINTABLE, MAX_USER_CODE_CHARS),
        verification_uri=_page(uri, "verification_uri", is_page),
        verification_uri_complete=(
            None if complete is None else _page(complete, "verification_uri_complete", is_page)
        ),
        expires_in_seconds=seconds,
        interval_seconds=DEFAULT_INTERVAL_SECONDS if interval is None else interval,
    )


def _text(document: Mapping[str, object], name: str, shape: re.Pattern[str], max_chars: int) -> str:
    value = document.get(name)
    if not isinstance(value, str) or len(value) > max_chars or not shape.fullmatch(value):
        raise OpAnswerMalformed(f"device_authorization: no usable {name}")
    return value


def _page(value: object, name: str, is_page: Callable[[object], bool]) -> str:
    """A page that shows it as a link must not be made to run a script by it."""
    if not isinstance(value, str) or not is_page(value):
        raise OpAnswerMalformed(f"device_authorization: {name} is not an https URL")
    return value
