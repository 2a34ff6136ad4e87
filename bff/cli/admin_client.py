"""Asks the admin listener of a running gateway, as its configuration says where that is."""

import asyncio
import getpass
import os
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from yarl import URL

from bff.admin.sessions import ACTOR
from bff.app.listening import UNIX, host_and_port
from bff.observability.reasons import reason_of

CONNECT_SECONDS = 5.0
# Ending all sessions of a large installation takes a while.
ANSWER_SECONDS = 600.0


class AdminFailed(Exception):
    """The question was not answered. The text is for the operator. `problems` are those that the
    gateway has found, if it has said any."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


async def ask_admin(
    address: str, method: str, path: str, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """The JSON object that the admin listener at `address` answers with.

    Raises:
        AdminFailed: there is no answer, or not the one that was asked for.
    """
    connector: aiohttp.BaseConnector
    if address.startswith(UNIX):
        connector, host, port = aiohttp.UnixConnector(address.removeprefix(UNIX)), "localhost", None
    else:
        connector, (host, port) = aiohttp.TCPConnector(), host_and_port(address)
    if port == 0:
        raise AdminFailed("server.admin_listen has port 0: the real one is not known")
    # A listener on every address, such as 0.0.0.0, is reached from the machine itself by that name.
    url = URL.build(scheme="http", host=host, port=port, path=path, query=parameters)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            http.request(method, url, headers=_headers(), allow_redirects=False) as answer,
        ):
            return await _read(answer, address)
    except aiohttp.ClientConnectorError as error:
        number = error.os_error.errno
        reason = os.strerror(number) if number else "not reachable"
        raise AdminFailed(
            f"no gateway answers at {address} (server.admin_listen): {reason}; is it running?"
        ) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise AdminFailed(f"{address} did not answer as asked: {reason_of(error)}") from None


def _headers() -> dict[str, str]:
    """This machine's user, for the log of the gateway: of `sudo`, the one that called it."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        user = f"uid {os.getuid()}"
    return {ACTOR: user if user.isascii() and user.isprintable() else ascii(user)}


async def _read(answer: aiohttp.ClientResponse, address: str) -> dict[str, Any]:
    try:
        document = await answer.json(content_type=None)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AdminFailed(f"what answers at {address} is no admin listener of a gateway")
    if answer.status != 200:
        title = str(document.get("title", f"status {answer.status}"))
        raise AdminFailed(title, [str(one) for one in document.get("problems", ())])
    return document


def ask_admin_now(
    address: str, method: str, path: str, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """`ask_admin`, for a command that has no event loop."""
    return asyncio.run(ask_admin(address, method, path, parameters))
