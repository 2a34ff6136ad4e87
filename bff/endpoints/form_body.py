"""A small form in a request's body, read within limits of size and time.

Nothing is read of a body that announces too much or is no form.
"""

import asyncio

import aiohttp
from aiohttp import web

from bff.endpoints.parameters import parse_parameters
from bff.errors import BadRequest, BodyTooLarge

FORM = "application/x-www-form-urlencoded"
PATIENCE_SECONDS = 5.0


async def read_form(
    request: web.BaseRequest, *, max_bytes: int, patience_seconds: float = PATIENCE_SECONDS
) -> dict[str, str]:
    """The parameters of a form, as `parse_parameters` reads them.

    Raises:
        BadRequest: not a form, in a content coding, broken off, too slow, or a name repeats.
        BodyTooLarge: more than `max_bytes`.
    """
    types = request.headers.getall("Content-Type", [])
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != FORM:
        raise BadRequest("not a form")
    if "Content-Encoding" in request.headers:
        raise BadRequest("a form in a content coding")
    if (request.content_length or 0) > max_bytes:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(patience_seconds):
            body = await _read_bounded(request.content, max_bytes)
    except TimeoutError:
        raise BadRequest("the form did not come in time") from None
    except (web.RequestPayloadError, ConnectionError):
        raise BadRequest("the form broke off") from None
    return parse_parameters(body)


async def _read_bounded(content: aiohttp.StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge
    return bytes(body)
