"""Which step an authorization request needs next: a login, a consent, or none. Pure.

OIDC Core section 3.1.2.1 (`prompt`, `max_age`, `acr_values`), 3.1.2.3 and 3.1.2.4. Without
`prompt=none` the user always sees a form, even with a session and a remembered consent: an OP that
approves at once hides what browsers do to SameSite cookies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.core.errors import (
    ConsentRequiredError,
    LoginRequiredError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)

from spa_demo.op.records import OpSession
from spa_demo.op.settings import OpSettings


class Step(StrEnum):
    LOGIN = "login"
    CONSENT = "consent"
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an authorization request asks of the user. `scope` is what the client may have."""

    client_id: str
    scope: str
    prompts: frozenset[str]
    max_age: int | None
    acr: str | None

    @property
    def is_silent(self) -> bool:
        return "none" in self.prompts


def read_asked(parameters: Mapping[str, str], scope: str, settings: OpSettings) -> Asked:
    """Read the parameters that Authlib does not judge.

    Raises: OAuth2Error for one that is malformed or not supported.
    """
    if "request" in parameters:
        raise RequestNotSupportedError
    if "request_uri" in parameters:
        raise RequestURINotSupportedError
    if parameters.get("response_mode", "query") not in settings.response_modes:
        raise InvalidRequestError("This response_mode is not supported.")
    prompts = frozenset(parameters.get("prompt", "").split())
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequestError("prompt=none cannot be combined.")
    max_age = parameters.get("max_age")
    if max_age is not None and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise InvalidRequestError("max_age is not a number of seconds.")
    return Asked(
        client_id=parameters["client_id"],
        scope=scope,
        prompts=prompts,
        max_age=int(max_age) if max_age is not None else None,
        acr=settings.supported_acr(parameters.get("acr_values", "")),
    )


def next_step(
    asked: Asked,
    session: OpSession | None,
    settings: OpSettings,
    *,
    now: float,
    has_just_logged_in: bool,
) -> Step:
    """The step to take.

    Raises: LoginRequiredError, ConsentRequiredError when `prompt=none` forbids the form.
    """
    if session is None or not (
        has_just_logged_in or _is_good_enough(asked, session, settings, now)
    ):
        if asked.is_silent:
            raise LoginRequiredError
        return Step.LOGIN
    if not asked.is_silent:
        return Step.CONSENT
    if not session.has_consented(asked.client_id, session.user.may_grant(asked.scope)):
        raise ConsentRequiredError
    return Step.GRANT


def _is_good_enough(asked: Asked, session: OpSession, settings: OpSettings, now: float) -> bool:
    """Whether an existing session answers the request without another login."""
    if asked.prompts & {"login", "select_account"}:
        return False
    if asked.max_age is not None and (
        asked.max_age == 0 or now - session.auth_time > asked.max_age
    ):
        return False
    if asked.acr is None:
        return True
    strength = settings.acr_values.index
    return strength(session.acr) >= strength(asked.acr)
