"""What is wrong with a request from the browser's side, and where it belongs to no session."""

import logging

from bff.errors.base import BffError, Source


class DownstreamError(BffError):
    source = Source.DOWNSTREAM
    log_level = logging.INFO
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


class ReloadRefused(DownstreamError):
    """`problems` are for an administrator; none of them repeats a value."""

    status = 409
    code = "reload_refused"
    title = "The configuration was not taken over: the old one goes on."

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__()
        self.problems = problems


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
    log_level = logging.WARNING


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
    log_level = logging.ERROR


class NotAuthenticated(DownstreamError):
    """The request belongs to no session. The answer says where to log in."""

    status = 401
    code = "not_authenticated"
    title = "A login is needed."


class SessionEnded(NotAuthenticated):
    """The session ended while its request waited: by a logout, by the OP, or because there is no
    token left that could be used. `log_detail` says which; for the request it is all the same."""

    source = Source.OP
    code = "session_ended"
    title = "The session has ended. A login is needed."


class TokenInactive(DownstreamError):
    """The OP says that the access token of the session counts no more, and there is no other. The
    session is alive; the answer says where to log in, for a login gives a new one."""

    status = 401
    code = "token_inactive"
    title = "The login service no longer accepts the access token. A login is needed."
    source = Source.OP
    log_level = logging.WARNING


class TokenBound(DownstreamError):
    """The access token is bound to a key (RFC 9449), and the proxy that will make the request can't
    prove it. The session is alive; the answer says where to log in, for a login gives a new token.
    """

    status = 401
    code = "token_bound"
    title = "The access token is bound to a key and can't be handed out. A login is needed."
    log_level = logging.WARNING


class StepUpRequired(DownstreamError):
    """The session is alive, but its login was not strong or not recent enough, for the route or for
    the API behind it. `acr_values` and `max_age`, in seconds, are to be asked for (RFC 9470)."""

    status = 401
    code = "step_up_required"
    title = "A stronger or more recent login is needed."

    def __init__(self, acr_values: tuple[str, ...], max_age: int | None) -> None:
        super().__init__()
        self.acr_values = acr_values
        self.max_age = max_age


class CsrfRefused(DownstreamError):
    """Base of the three layers of the CSRF guard."""

    status = 403
    code = "csrf_refused"
    title = "The request was refused by the CSRF guard."
    log_level = logging.WARNING


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
    log_level = logging.WARNING

    def __init__(self, check: str, log_detail: str = "") -> None:
        super().__init__(f"{check}: {log_detail}" if log_detail else check)
        self.check = check


class LogoutNotConfirmed(DownstreamError):
    status = 403
    code = "logout_not_confirmed"
    title = "This logout link does not belong to the current session."
