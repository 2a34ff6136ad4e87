"""What can go wrong between `/bff/login` and the new session."""

import logging
from collections.abc import Mapping

from bff.errors.base import Source
from bff.errors.requests import DownstreamError
from bff.model import Tokens


class LoginError(DownstreamError):
    """Base of them."""

    code = "login_failed"
    title = "The login could not be completed."
    log_level = logging.WARNING


class CallbackInvalid(LoginError):
    code = "callback_invalid"
    title = "The answer of the login service is malformed."


class LoginResponseInvalid(LoginError):
    """A signed answer (JARM) is not the OP's, not for this client, or over. `check` names the check
    that failed, for the log and for tests."""

    code = "login_response_invalid"
    title = "The signed answer of the login service could not be verified."

    def __init__(self, check: str, log_detail: str = "") -> None:
        super().__init__(f"{check}: {log_detail}" if log_detail else check)
        self.check = check


class LoginExpired(LoginError):
    """`again`: the parameters of a login in its place, as far as they are still known."""

    code = "login_expired"
    title = "This login is no longer open."

    def __init__(self, log_detail: str = "", *, again: Mapping[str, str] | None = None) -> None:
        super().__init__(log_detail)
        self.again = again or {}


class UnknownProvider(LoginError):
    code = "unknown_provider"
    title = "There is no login service of that name here."


class BrowserMismatch(LoginError):
    code = "login_browser_mismatch"
    title = "This login was started in another browser."


class IssuerMismatch(LoginError):
    code = "login_issuer_mismatch"
    title = "The answer comes from another login service."


class LoginDenied(LoginError):
    status = 403
    code = "login_denied"
    title = "The login service did not grant access."


class LoginRefused(LoginError):
    """The OP answered the authorization request with an error other than a denial."""

    status = 502
    code = "login_refused"
    title = "The login service reported an error."
    source = Source.OP


class CodeRejected(LoginError):
    """`invalid_grant` at the code exchange: the code is used, expired or not ours."""

    code = "code_rejected"
    title = "The login service did not accept the authorization code."
    source = Source.OP


class IdTokenInvalid(LoginError):
    """A check of OIDC Core section 3.1.3.7 failed. `check` names it, for the log and for tests.
    `tokens` are those that came with a refreshed ID token, to be revoked."""

    status = 502
    code = "id_token_invalid"
    title = "The identity sent by the login service could not be verified."
    source = Source.OP
    log_level = logging.ERROR

    def __init__(self, check: str, log_detail: str = "", *, tokens: Tokens | None = None) -> None:
        super().__init__(f"{check}: {log_detail}" if log_detail else check)
        self.check = check
        self.detail = log_detail
        self.tokens = tokens


class OrganizationMismatch(LoginError):
    status = 403
    code = "organization_mismatch"
    title = "The login was not for the organization that was asked for."


class StepUpNotMet(LoginError):
    status = 403
    code = "step_up_not_met"
    title = "The login service did not authenticate as strongly or as recently as was asked."


class StepUpOtherUser(LoginError):
    """The page still shows the work of the user whose session it was."""

    status = 403
    code = "step_up_other_user"
    title = "Another user has logged in than the one whose session it is."
