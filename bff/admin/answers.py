"""How the admin listener answers what goes wrong: problem+json, as on the public side."""

import secrets

import structlog
from aiohttp import web

from bff.errors import BffError
from bff.gate.problem import OwnResponses, problem_for

log = structlog.get_logger("bff.admin")

OWN = OwnResponses(hsts=False)


def ours(response: web.Response) -> web.Response:
    """With the headers that every answer carries."""
    response.headers.update(OWN.headers())
    response.headers["Server"] = "bff"
    return response


def problem(error: BffError) -> web.Response:
    """The answer to what went wrong, which is logged."""
    request_id = secrets.token_hex(16)
    log.log(
        error.log_level,
        "admin_refused",
        code=error.code,
        detail=error.log_detail,
        request_id=request_id,
    )
    found = problem_for(error, request_id=request_id, login_url="")
    return web.Response(status=found.status, body=found.body, headers=found.headers)
