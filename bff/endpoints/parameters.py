"""Query and form parameters: each at most once, and each of a known shape. Of a form's body nothing
is read where it announces too much or is no form.
"""

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from bff.errors import BadRequest, BodyTooLarge
from bff.oidc.step_up import read_acr_values, read_max_age

MAX_PARAMETERS = 32
FORM = "application/x-www-form-urlencoded"
PATIENCE_SECONDS = 5.0  # for a form's body

_PROMPT = frozenset({"none", "login", "consent", "select_account", "create"})
_LOCALES = re.compile(r"[A-Za-z0-9-]{1,35}( [A-Za-z0-9-]{1,35}){0,9}\Z")
_IDP = re.compile(r"[a-z0-9_-]{1,64}\Z")
_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,320}\Z")


def parse_parameters(query: bytes) -> dict[str, str]:
    """Decode a query string. An empty value counts as absent (RFC 6749 section 3.1).

    Raises:
        BadRequest: a name repeats, there are too many, or an escape is not UTF-8.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise BadRequest("parameters can't be decoded") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("a parameter repeats")
    return {name: value for name, value in found.items() if value}


def prompt_of(parameters: dict[str, str]) -> str | None:
    """`prompt` (OIDC Core section 3.1.2.1): one or several known values; `none` stands alone."""
    value = parameters.get("prompt")
    if value is None:
        return None
    words = value.split(" ")
    if not set(words) <= _PROMPT or ("none" in words and len(words) > 1):
        raise BadRequest("prompt")
    return value


def max_age_of(parameters: dict[str, str]) -> int | None:
    """`max_age` in seconds."""
    return _read(parameters, "max_age", read_max_age)


def acr_values_of(parameters: dict[str, str]) -> tuple[str, ...]:
    return _read(parameters, "acr_values", read_acr_values) or ()


def ui_locales_of(parameters: dict[str, str]) -> str | None:
    return _matching(parameters, "ui_locales", _LOCALES)


def login_hint_of(parameters: dict[str, str]) -> str | None:
    return _matching(parameters, "login_hint", _HINT)


def idp_of(parameters: dict[str, str]) -> str | None:
    """The name of a provider, which may be unknown."""
    return _matching(parameters, "idp", _IDP)


def issuer_of(parameters: dict[str, str]) -> str | None:
    """The issuer that a third party names (OIDC Core section 4)."""
    return _matching(parameters, "iss", _HINT)


def organization_of(parameters: dict[str, str]) -> str | None:
    """The organization that the user is to log in for."""
    return _matching(parameters, "org", _HINT)


def passed_on_value(parameters: dict[str, str], name: str) -> str:
    """That of a parameter of the OP's own, which is there."""
    return _matching(parameters, name, _HINT) or ""


ValueT = TypeVar("ValueT")


def _read(parameters: dict[str, str], name: str, read: Callable[[str], ValueT]) -> ValueT | None:
    value = parameters.get(name)
    try:
        return read(value) if value is not None else None
    except ValueError:
        raise BadRequest(name) from None


def _matching(parameters: dict[str, str], name: str, shape: re.Pattern[str]) -> str | None:
    value = parameters.get(name)
    if value is not None and not shape.match(value):
        raise BadRequest(name)
    return value


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
