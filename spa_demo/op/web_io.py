"""Between aiohttp and the protocol code: reads forms into `FormRequest`, turns an `Answer` or a
page into a response, with the security headers that every response of the OP carries."""

import json
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict

from spa_demo.op.pages import message_page
from spa_demo.op.requests import Answer, FormRequest
from spa_demo.op.settings import OpSettings
from spa_demo.op.style import CSP_SOURCE


class Refused(Exception):
    """The request ends with a page of ours. Title and text never quote the request."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


async def read_request(request: web.Request, settings: OpSettings) -> FormRequest:
    """The request with its query or, for a POST, its form parameters.

    Raises: HTTPBadRequest for a body that is not a readable urlencoded form.
    """
    pairs = tuple(request.query.items())
    if request.method == "POST":
        # RFC 6749 section 2.3.1: credentials and tokens never come in the query.
        pairs = tuple((await read_form(request)).items())
    # The one parameter that may come more than once (RFC 8707 section 2). No URI has a space.
    resources = " ".join(value for name, value in pairs if name == "resource")
    pairs = tuple(pair for pair in pairs if pair[0] != "resource")
    if resources:
        pairs = (*pairs, ("resource", resources))
    return FormRequest(request.method, settings.issuer + request.path, pairs, request.headers)


async def read_form(request: web.Request) -> MultiDict[str]:
    """The fields of a urlencoded form.

    Raises: HTTPBadRequest, HTTPRequestEntityTooLarge.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest(text="A urlencoded form is expected.")
    try:
        posted = await request.post()
    except (LookupError, ValueError):  # an unknown charset, bytes that it does not have
        raise web.HTTPBadRequest(text="The form cannot be read.") from None
    return MultiDict((name, value) for name, value in posted.items() if isinstance(value, str))


def respond(answer: Answer) -> web.Response:
    """The answer of the protocol code: JSON, or a redirect."""
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, headers=answer.headers)
    headers = {**answer.headers, "Content-Type": "application/json"}
    return web.Response(status=answer.status, text=json.dumps(answer.body), headers=headers)


def see(path: str) -> web.Response:
    """Go on with a GET (RFC 9700 section 4.12: never 307)."""
    return web.Response(status=303, headers={"Location": path})


def page(html: str, *, status: int = 200, leads_to: str | None = None) -> web.Response:
    """An HTML page. `leads_to` is a URL that its form may end up redirecting to.

    Browsers apply `form-action` to the redirects that follow a form, so the client's origin must
    be named although no form is posted there.
    """
    targets = "'self'"
    if leads_to:
        parts = urlsplit(leads_to)
        targets += f" {parts.scheme}://{parts.netloc}"
    policy = (
        f"default-src 'none'; style-src {CSP_SOURCE}; img-src data:; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {"Content-Security-Policy": policy}
    return web.Response(status=status, text=html, content_type="text/html", headers=headers)


@web.middleware
async def show_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn `Refused` into its page."""
    try:
        return await handler(request)
    except Refused as refused:
        return page(message_page(refused.title, refused.text), status=refused.status)


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every response carries (an `on_response_prepare` handler)."""
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'")
    response.headers["Cache-Control"] = "no-store"  # RFC 6749 section 5.1
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
