"""[limits]: how often something may happen, for one client address or one session."""

from typing import Literal

from pydantic import Field

from bff.config.quantities import RateLimit
from bff.config.section import Section


class LimitSettings(Section):
    """None means no limit."""

    logins: RateLimit = Field(
        default="300/minute",
        validate_default=True,
        description="Logins that may be started from one client address: so many at once, then as "
        "many as the rate allows. An IPv6 address stands for its /64. Behind a proxy that is not "
        "in `server.trusted_proxies` everybody has the proxy's address.",
    )
    failed_callbacks: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Logins that may come back from one client address and fail. Past it no "
        "callback from there is looked at.",
    )
    failed_logout_tokens: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Back-channel logouts from one client address that may be refused. Past it "
        "none from there is looked at. Those that are in order are not counted, however many.",
    )
    refreshes: RateLimit = Field(
        default="60/minute",
        validate_default=True,
        description="Refreshes of one session. Past it calls go on with the token there is, until "
        "that has expired.",
    )
    api_calls: RateLimit = Field(
        default="off",
        validate_default=True,
        description="API calls of one session, those that proxies ask for included. Judged in "
        "memory and shared in the background: with several processes it is approximate.",
    )
    when_store_down: Literal["allow", "refuse"] = Field(
        default="allow",
        description="What happens to logins, callbacks, logout tokens and refreshes that can't be "
        "counted because the store does not answer: refused ones are answered 503.",
    )
