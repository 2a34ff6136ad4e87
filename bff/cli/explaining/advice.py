"""What to do about a refusal of the gate, for an operator at a shell."""

from collections.abc import Mapping

from bff.errors import (
    AmbiguousPath,
    BffError,
    CrossSiteRequest,
    CsrfHeaderMissing,
    ForeignOrigin,
    LoopDetected,
    MethodNotAllowed,
    MisdirectedHost,
    NavigationRequired,
    NotAuthenticated,
    NotFound,
    OriginUnknown,
    StepUpRequired,
    StoreUnavailable,
    UpgradeNotSupported,
)

_ADVICE: Mapping[type[BffError], str] = {
    AmbiguousPath: "If the API needs this spelling, routes.allow_in_path may let it through; it "
    "never does so with a dot segment, a control byte, or a reading that leads elsewhere.",
    CrossSiteRequest: "Only the application's own pages may call it.",
    CsrfHeaderMissing: "Have the application's scripts send the header (the browser client does).",
    ForeignOrigin: "Compare Origin with server.public_url, or the frontend's url.",
    LoopDetected: "An upstream of the route leads back to the gateway: correct routes.upstream.",
    MisdirectedHost: "Name the host in server.public_url, server.additional_hosts or a frontend; "
    "or have the proxy in front pass on the browser's Host.",
    NavigationRequired: "Only a navigation may open it: a link, location, or --as page here.",
    NotAuthenticated: "The user has to log in; --cookie-file asks about a certain session.",
    NotFound: "No route, own endpoint or page of the application is there: see [[routes]], [spa].",
    OriginUnknown: "A browser sends Sec-Fetch-Site or Origin; use --as script here.",
    StepUpRequired: "A new login has to meet routes.require_acr and routes.max_auth_age.",
    StoreUnavailable: "Ask `bff check` what is wrong with the session store.",
    UpgradeNotSupported: "Set routes.websocket = true, if the API speaks WebSocket.",
}


def advice_on(error: BffError) -> str:
    """One sentence, or the place of one."""
    if isinstance(error, MethodNotAllowed):
        return f"Allowed here: {', '.join(error.allowed)}; a route's are its routes.methods."
    return _ADVICE.get(type(error), "See the row of this code there.")
