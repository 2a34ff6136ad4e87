"""One tree of errors. Each knows its stable `code`, its HTTP `status`, whose fault it is and
whether trying again can help; `endpoints.problem` turns any of them into an answer.

The text of `title` is fixed: nothing that a request, the OP or an upstream sent may appear in it.
What an operator needs to know goes into `log_detail`, which is logged and never sent.
"""

from enum import StrEnum
from typing import ClassVar

from bff.model import Tokens


class Source(StrEnum):
    """Whose fault it is."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    OP = "op"
    STORE = "store"
    GATEWAY = "gateway"


class BffError(Exception):
    """Base of every error that can become an answer. `retry_after` is in seconds."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The gateway failed to handle the request."
    source: ClassVar[Source] = Source.GATEWAY
    retryable: ClassVar[bool] = False
    log_level: ClassVar[str] = "error"

    def __init__(self, log_detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(log_detail or self.title)
        self.log_detail = log_detail
        self.retry_after = retry_after


class InternalError(BffError):
    """A fault of ours: the catch-all, so that an unforeseen exception fails closed."""


# --- the browser side -------------------------------------------------------------------------


class DownstreamError(BffError):
    source = Source.DOWNSTREAM
    log_level = "info"
    status = 400
    code = "bad_request"
    title = "The request is malformed."


class BadRequest(DownstreamError):
    """The request head or a parameter is malformed."""


class AmbiguousPath(DownstreamError):
    code = "ambiguous_path"
    title = "The path has more than one possible reading."


class NotFound(DownstreamError):
    status = 404
    code = "not_found"
    title = "There is nothing here."


class MethodNotAllowed(DownstreamError):
    status = 405
    code = "method_not_allowed"
    title = "This method is not allowed here."

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self.allowed = allowed


class BodyTooLarge(DownstreamError):
    status = 413
    code = "body_too_large"
    title = "The request body is too large."


class RequestTimeout(DownstreamError):
    status = 408
    code = "request_timeout"
    title = "The request did not arrive in time."


class TargetTooLong(DownstreamError):
    status = 414
    code = "target_too_long"
    title = "The request target is too long."


class HeadTooLarge(DownstreamError):
    status = 431
    code = "head_too_large"
    title = "The request head is too large."


class BadHandshake(DownstreamError):
    code = "bad_handshake"
    title = "The WebSocket handshake is malformed."


class TooManyConnections(DownstreamError):
    status = 503
    code = "too_many_connections"
    title = "This gateway has as many connections as it takes."
    retryable = True

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class MisdirectedHost(DownstreamError):
    status = 421
    code = "misdirected_host"
    title = "This gateway does not answer for the requested host."


class ProxyNotTrusted(DownstreamError):
    status = 403
    code = "proxy_not_trusted"
    title = "Only a trusted proxy may ask here."
    log_level = "warning"


class TooManyStreams(DownstreamError):
    status = 429
    code = "too_many_streams"
    title = "This session has too many streams open."

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class RateLimited(DownstreamError):
    """`log_detail` is the kind of what was done too often."""

    status = 429
    code = "rate_limited"
    title = "There were too many requests of this kind."
    retryable = True

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class UpgradeNotSupported(DownstreamError):
    status = 501
    code = "upgrade_not_supported"
    title = "This protocol upgrade is not forwarded."


class LoopDetected(DownstreamError):
    status = 508
    code = "loop_detected"
    title = "The request has already passed through this gateway."
    log_level = "error"


class NotAuthenticated(DownstreamError):
    status = 401
    code = "not_authenticated"
    title = "A login is needed."


class CsrfRefused(DownstreamError):
    """Base of the three layers of the CSRF guard."""

    status = 403
    code = "csrf_refused"
    title = "The request was refused by the CSRF guard."
    log_level = "warning"


class CrossSiteRequest(CsrfRefused):
    code = "csrf_cross_site"
    title = "The browser says that the request comes from another site or origin."


class ForeignOrigin(CsrfRefused):
    code = "csrf_foreign_origin"
    title = "The Origin header is not this application's origin."


class CsrfHeaderMissing(CsrfRefused):
    code = "csrf_header_missing"
    title = "The anti-forgery header is missing."


class OriginUnknown(CsrfRefused):
    code = "csrf_origin_unknown"
    title = "Neither Sec-Fetch-Site nor Origin was sent."


class NavigationRequired(DownstreamError):
    """What changes a login or a session at a GET, and is no navigation of the user's. `endpoint` is
    the one that was asked, with `query`: the page says them once more, in a form."""

    status = 403
    code = "navigation_required"
    title = "Please confirm that you want to go on."

    def __init__(self, endpoint: str, query: bytes) -> None:
        super().__init__(endpoint)
        self.endpoint = endpoint
        self.query = query


class LogoutTokenInvalid(DownstreamError):
    """A check of Back-Channel Logout section 2.6 failed. `check` names it, for log and tests."""

    code = "logout_token_invalid"
    title = "The logout token is not valid."
    log_level = "warning"

    def __init__(self, check: str, log_detail: str = "") -> None:
        super().__init__(f"{check}: {log_detail}" if log_detail else check)
        self.check = check


class LogoutNotConfirmed(DownstreamError):
    status = 403
    code = "logout_not_confirmed"
    title = "This logout link does not belong to the current session."


# --- a login that fails -----------------------------------------------------------------------


class LoginError(DownstreamError):
    """Base of what can go wrong between `/bff/login` and the new session."""

    code = "login_failed"
    title = "The login could not be completed."
    log_level = "warning"


class CallbackInvalid(LoginError):
    code = "callback_invalid"
    title = "The answer of the login service is malformed."


class LoginExpired(LoginError):
    """`return_url`: where it would have led, a path of the application, if that is still known."""

    code = "login_expired"
    title = "This login is no longer open."

    def __init__(self, log_detail: str = "", *, return_url: str = "/") -> None:
        super().__init__(log_detail)
        self.return_url = return_url


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
    log_level = "error"

    def __init__(self, check: str, log_detail: str = "", *, tokens: Tokens | None = None) -> None:
        super().__init__(f"{check}: {log_detail}" if log_detail else check)
        self.check = check
        self.detail = log_detail
        self.tokens = tokens


class StepUpNotMet(LoginError):
    status = 403
    code = "step_up_not_met"
    title = "The login service did not authenticate as strongly or as recently as was asked."


# --- the OpenID provider ----------------------------------------------------------------------


class OpError(BffError):
    """`asked_seconds`: how long the OP itself asked to be left alone, 0 when it did not.
    `retry_after` is what the browser is told, and always says something."""

    asked_seconds: float = 0.0
    source = Source.OP
    status = 503
    code = "op_unavailable"
    title = "The login service cannot be reached at the moment."
    retryable = True
    log_level = "warning"


class OpUnavailable(OpError):
    """Timeout, refused connection, 5xx, 429: nothing is known about the request's effect."""

    def __init__(
        self, log_detail: str = "", *, retry_after: int | None = 5, asked_seconds: float = 0.0
    ) -> None:
        super().__init__(log_detail, retry_after=retry_after)
        self.asked_seconds = asked_seconds


class OpAnswerMalformed(OpError):
    """The OP answered, but not with what the specification asks for. Treated as transient."""

    code = "op_answer_malformed"
    title = "The login service sent an answer that cannot be used."

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class AccessTokenUnusable(OpAnswerMalformed):
    """The answer to a refresh holds a new refresh token and no access token that can be used.
    `tokens` are the old ones with that refresh token, which exists nowhere else."""

    def __init__(self, log_detail: str, tokens: Tokens) -> None:
        super().__init__(log_detail)
        self.tokens = tokens


class RefreshRefused(OpAnswerMalformed):
    """A 4xx to a refresh whose error is none of those that RFC 6749 section 5.2 has for a dead
    grant. Said once it may pass; an OP that says it again and again means the grant."""

    code = "op_refresh_refused"
    title = "The login service refuses to renew the session at the moment."

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 10) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class OpMetadataRefused(OpError):
    """Discovery was refused: wrong issuer, insecure endpoint, no PKCE S256 (operator's fault)."""

    code = "op_metadata_refused"
    title = "The login service is not configured as expected."
    log_level = "error"

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 30) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class ClientRejected(OpError):
    """`invalid_client`, `unauthorized_client`: the operator's fault; no session is touched."""

    asked_seconds = 30.0  # nobody asked, but until an operator has acted nothing will change
    code = "op_client_rejected"
    title = "The login service does not accept this gateway's credentials."
    log_level = "error"

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 30) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class GrantRejected(BffError):
    """`invalid_grant` at a refresh: the grant is dead, so is the session (RFC 6749 section 5.2)."""

    source = Source.OP
    status = 401
    code = "session_ended"
    title = "The session has ended. A login is needed."
    log_level = "info"


# --- the session store ------------------------------------------------------------------------


class StoreUnavailable(BffError):
    source = Source.STORE
    status = 503
    code = "store_unavailable"
    title = "Sessions cannot be read or written at the moment."
    retryable = True

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 2) -> None:
        super().__init__(log_detail, retry_after=retry_after)


# --- the API side -----------------------------------------------------------------------------


class UpstreamError(BffError):
    source = Source.UPSTREAM
    status = 502
    code = "upstream_unreachable"
    title = "The API cannot be reached at the moment."
    retryable = True
    log_level = "warning"


class UpstreamUnreachable(UpstreamError):
    """Refused, reset before an answer, TLS not verified."""


class DevServerUnreachable(UpstreamError):
    """`spa.dev_server` takes no connection."""

    code = "dev_server_unreachable"
    title = "The development server cannot be reached. Is it running?"


class UpstreamMalformed(UpstreamError):
    code = "upstream_malformed"
    title = "The API sent an answer that cannot be used."


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    title = "The API took too long to answer."


class UpstreamBusy(UpstreamError):
    """The route has as many requests under way as it may."""

    status = 503
    code = "upstream_busy"
    title = "The API has too many requests at the moment."

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(log_detail, retry_after=retry_after)
