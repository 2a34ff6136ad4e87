"""What is wrong with the parts that the gateway depends on: the OP, the store, the APIs."""

import logging

from bff.errors.base import BffError, Source
from bff.model import Tokens


class OpError(BffError):
    """`asked_seconds`: how long the OP itself asked to be left alone, 0 when it did not.
    `retry_after` is what the browser is told, and always says something."""

    asked_seconds: float = 0.0
    source = Source.OP
    status = 503
    code = "op_unavailable"
    title = "The login service cannot be reached at the moment."
    retryable = True
    log_level = logging.WARNING


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
    log_level = logging.ERROR

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 30) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class IntrospectionRefused(OpMetadataRefused):
    """The OP does not say whether one access token counts; some answer for opaque ones only."""


class ClientRejected(OpError):
    """`invalid_client`, `unauthorized_client`: the operator's fault; no session is touched."""

    asked_seconds = 30.0  # not the OP's wish; but nothing will change before an operator has acted
    code = "op_client_rejected"
    title = "The login service does not accept this gateway's credentials."
    log_level = logging.ERROR

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 30) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class ApiTokenRefused(OpError):
    """The OP gives no token for the API of one route (`invalid_target`, `invalid_scope`): the
    operator's fault, at that route alone. The session stays."""

    status = 502
    code = "api_token_refused"
    title = "The login service gives no access token for this API."
    retryable = False
    log_level = logging.ERROR

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 30) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class ApiTokenDenied(ApiTokenRefused):
    """The OP does not let this caller have a token for the API of one route (`access_denied`, or a
    consent or a further login that it wants first). The session stays."""

    status = 403
    code = "api_token_denied"
    title = "The login service does not allow access to this API."
    log_level = logging.WARNING


class GrantRejected(BffError):
    """No tokens can be had for this refresh token any more: the OP says so (RFC 6749 section 5.2).
    What that means for the session is for the caller to say, with `SessionEnded`; as an answer this
    would be a fault of ours."""

    title = "The login service does not accept the refresh token."
    source = Source.OP
    log_level = logging.INFO


class NothingToRefresh(BffError):
    """The session holds no refresh token of this OP, so nothing has been sent. As an answer this
    would be a fault of ours."""

    title = "The session has no refresh token."
    log_level = logging.INFO


class StoreUnavailable(BffError):
    source = Source.STORE
    status = 503
    code = "store_unavailable"
    title = "Sessions cannot be read or written at the moment."
    retryable = True

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 2) -> None:
        super().__init__(log_detail, retry_after=retry_after)


class UpstreamError(BffError):
    source = Source.UPSTREAM
    status = 502
    code = "upstream_unreachable"
    title = "The API cannot be reached at the moment."
    retryable = True
    log_level = logging.WARNING


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


class UpstreamWantsNonce(UpstreamError):
    """The API wants a nonce in the proof of our key (RFC 9449 section 9), and this request can't be
    sent again with it; the next one will have it."""

    status = 503
    code = "upstream_wants_nonce"
    title = "The API asks for the request once more."

    def __init__(self, log_detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(log_detail, retry_after=retry_after)
