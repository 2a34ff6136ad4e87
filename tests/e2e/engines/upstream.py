"""An API behind the gateway that repeats what reached it, and echoes on a WebSocket."""

from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

METHODS = ("GET", "POST", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Upstream:
    """`arrived` names every request by method and path."""

    port: int
    arrived: list[str] = field(default_factory=list)


def build_upstream(upstream: Upstream) -> web.Application:
    """`/seen` answers any method with what it saw; `/socket` echoes texts."""

    async def note(request: web.Request, _response: web.StreamResponse) -> None:
        upstream.arrived.append(f"{request.method} {request.path}")

    app = web.Application()
    app.on_response_prepare.append(note)
    for method in METHODS:
        app.router.add_route(method, "/seen", _seen)
    app.router.add_get("/socket", _socket)
    return app


async def _seen(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "body": await request.text(),
            "has_token": request.headers.get("Authorization", "").startswith("Bearer "),
            "has_cookie": "Cookie" in request.headers,
        }
    )


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"echo {message.data}")
    return socket
