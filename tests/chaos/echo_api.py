"""`python -m tests.chaos.echo_api`: an API that says whose access token arrived.

It reads the token without verifying its signature, for none is forged here; it does mind the
expiry, with a little leeway for a token that expires on the way, as APIs do.
"""

import asyncio
import base64
import json
import signal
import time

import click
from aiohttp import web

from tests.parts.servers import answering

LEEWAY_SECONDS = 1.0


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """200 with the subject; 401 for no token or one that has expired."""
    claims = read_claims(request.headers.get("Authorization", ""))
    if claims is None:
        return web.json_response({"error": "no_token"}, status=401)
    if time.time() >= float(str(claims["exp"])) + LEEWAY_SECONDS:
        return web.json_response({"error": "token_expired"}, status=401)
    return web.json_response({"sub": claims["sub"]})


def read_claims(authorization: str) -> dict[str, object] | None:
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme != "Bearer" or len(parts) != 3:
        return None
    payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    claims: dict[str, object] = json.loads(payload)
    return claims


async def run(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with answering(web.Server(answer), port=port):
        await stop.wait()


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Run until SIGTERM."""
    asyncio.run(run(port))


if __name__ == "__main__":
    main()
