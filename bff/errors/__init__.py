"""One tree of errors. Each knows its stable `code`, its HTTP `status`, whose fault it is, whether
trying again can help, and how loudly it is logged.

| chapter | errors |
|---|---|
| `base` | the root, and a fault of ours |
| `requests` | of a request from the browser's side |
| `logins` | between `/bff/login` and the new session |
| `backends` | of the OP, the store and the APIs |

One place of each listener turns an error into an answer: `gate.refusals` for browsers and for
proxies that ask, `admin.listener` for administrators. `gate.problem` words both.

The text of `title` is fixed: nothing that a request, the OP or an upstream sent may appear in it.
What an operator needs to know goes into `log_detail`, which is logged and never sent.
"""

from bff.errors.backends import (
    AccessTokenUnusable,
    ClientRejected,
    DevServerUnreachable,
    GrantRejected,
    OpAnswerMalformed,
    OpError,
    OpMetadataRefused,
    OpUnavailable,
    RefreshRefused,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bff.errors.base import (
    BffError,
    InternalError,
    Source,
)
from bff.errors.logins import (
    BrowserMismatch,
    CallbackInvalid,
    CodeRejected,
    IdTokenInvalid,
    IssuerMismatch,
    LoginDenied,
    LoginError,
    LoginExpired,
    LoginRefused,
    OrganizationMismatch,
    StepUpNotMet,
    UnknownProvider,
)
from bff.errors.requests import (
    AmbiguousPath,
    BadHandshake,
    BadRequest,
    BodyTooLarge,
    CrossSiteRequest,
    CsrfHeaderMissing,
    CsrfRefused,
    DownstreamError,
    ForeignOrigin,
    HeadTooLarge,
    LogoutNotConfirmed,
    LogoutTokenInvalid,
    LoopDetected,
    MethodNotAllowed,
    MisdirectedHost,
    NavigationRequired,
    NotAuthenticated,
    NotFound,
    OriginUnknown,
    ProxyNotTrusted,
    RateLimited,
    ReloadRefused,
    RequestTimeout,
    SessionEnded,
    TargetTooLong,
    TooManyConnections,
    TooManyStreams,
    UpgradeNotSupported,
)

__all__ = [
    "AccessTokenUnusable",
    "AmbiguousPath",
    "BadHandshake",
    "BadRequest",
    "BffError",
    "BodyTooLarge",
    "BrowserMismatch",
    "CallbackInvalid",
    "ClientRejected",
    "CodeRejected",
    "CrossSiteRequest",
    "CsrfHeaderMissing",
    "CsrfRefused",
    "DevServerUnreachable",
    "DownstreamError",
    "ForeignOrigin",
    "GrantRejected",
    "HeadTooLarge",
    "IdTokenInvalid",
    "InternalError",
    "IssuerMismatch",
    "LoginDenied",
    "LoginError",
    "LoginExpired",
    "LoginRefused",
    "LogoutNotConfirmed",
    "LogoutTokenInvalid",
    "LoopDetected",
    "MethodNotAllowed",
    "MisdirectedHost",
    "NavigationRequired",
    "NotAuthenticated",
    "NotFound",
    "OpAnswerMalformed",
    "OpError",
    "OpMetadataRefused",
    "OpUnavailable",
    "OrganizationMismatch",
    "OriginUnknown",
    "ProxyNotTrusted",
    "RateLimited",
    "ReloadRefused",
    "RefreshRefused",
    "RequestTimeout",
    "SessionEnded",
    "Source",
    "StepUpNotMet",
    "StoreUnavailable",
    "TargetTooLong",
    "TooManyConnections",
    "TooManyStreams",
    "UnknownProvider",
    "UpgradeNotSupported",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamMalformed",
    "UpstreamTimeout",
    "UpstreamUnreachable",
]
