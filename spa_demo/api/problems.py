"""The API's errors, as problem+json (RFC 9457) with the challenges of RFC 6750 section 3 and RFC
9470 section 3.

No text of an error quotes the request, and none says why a token was refused beyond its code.
"""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger("spa_demo.api")


class Problem(Exception):
    """Ends a request. `code` is stable, `title` fixed text."""

    def __init__(
        self, status: int, code: str, title: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.headers = headers or {}


def token_missing() -> Problem:
    # RFC 6750 section 3.1: without credentials the challenge carries no error code.
    challenge = {"WWW-Authenticate": 'Bearer realm="demo-api"'}
    return Problem(401, "token_missing", "An access token is needed.", challenge)


def invalid_token() -> Problem:
    challenge = {"WWW-Authenticate": 'Bearer realm="demo-api", error="invalid_token"'}
    return Problem(401, "invalid_token", "The access token is not valid.", challenge)


def invalid_proof() -> Problem:
    challenge = {"WWW-Authenticate": 'DPoP realm="demo-api", error="invalid_dpop_proof"'}
    return Problem(401, "invalid_dpop_proof", "The proof of the key is not valid.", challenge)


def nonce_wanted() -> Problem:
    # RFC 9449 section 9; every answer has a nonce.
    challenge = {"WWW-Authenticate": 'DPoP realm="demo-api", error="use_dpop_nonce"'}
    return Problem(401, "use_dpop_nonce", "The proof needs a nonce.", challenge)


def insufficient_scope(scope: str) -> Problem:
    challenge = f'Bearer realm="demo-api", error="insufficient_scope", scope="{scope}"'
    title = "The access token does not allow this."
    return Problem(403, "insufficient_scope", title, {"WWW-Authenticate": challenge})


def insufficient_user_authentication(acr: str, max_age_seconds: int) -> Problem:
    # RFC 9470 section 3.
    challenge = (
        'Bearer realm="demo-api", error="insufficient_user_authentication", '
        f'acr_values="{acr}", max_age="{max_age_seconds}"'
    )
    title = "A stronger or more recent login is needed."
    return Problem(401, "insufficient_user_authentication", title, {"WWW-Authenticate": challenge})


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into problem+json, unless the answer has already begun."""
    try:
        return await handler(request)
    except Problem as problem:
        return _respond(problem)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return _respond(Problem(error.status, _code(error), error.reason, allow))
    except Exception:
        # Once the head is out the only honest end is an abort, which aiohttp makes of this.
        if request.writer.output_size > 0:
            raise
        log.exception("unforeseen failure")
        return _respond(Problem(500, "internal_error", "The API failed to handle the request."))


def _code(error: web.HTTPException) -> str:
    return error.reason.lower().replace(" ", "_")


def _respond(problem: Problem) -> web.Response:
    body = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
    }
    return web.json_response(
        body,
        status=problem.status,
        content_type="application/problem+json",
        headers=problem.headers,
    )
