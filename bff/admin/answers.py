"""How the admin listener answers what goes wrong: problem+json, as on the public side."""

import secrets

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from bff.errors import BadRequest, BffError, InternalError, MethodNotAllowed, NotFound
from bff.gate.problem import OwnResponses, problem_for

log = structlog.get_logger("bff.admin")

OWN = OwnResponses(https=False)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error becomes an answer, and every answer carries the headers of ours."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        response = _answer(_of_router(refusal))
    except BffError as error:
        response = _answer(error)
    except Exception as error:  # whatever it is, it must be seen, and say nothing
        log.exception("admin_failed", error=type(error).__name__)
        response = _answer(InternalError())
    response.headers.update(OWN.headers())
    response.headers["Server"] = "bff"
    return response


def _of_router(refusal: web.HTTPException) -> BffError:
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(tuple(sorted(refusal.allowed_methods)))
    return NotFound() if refusal.status == 404 else BadRequest()


def _answer(error: BffError) -> web.Response:
    request_id = secrets.token_hex(16)
    log.log(
        _LEVELS[error.log_level],
        "admin_refused",
        code=error.code,
        detail=error.log_detail,
        request_id=request_id,
    )
    problem = problem_for(error, request_id=request_id, login_url="")
    return web.Response(status=problem.status, body=problem.body, headers=problem.headers)


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
