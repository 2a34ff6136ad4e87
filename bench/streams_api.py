"""The upstream for what a file server cannot do: `python -m bench.streams_api PORT`.

Takes uploads and throws them away, keeps event streams open after a first event, and WebSockets
open for as long as they like.
"""

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web

MAX_BODY_BYTES = 2**40


async def take(request: web.Request) -> web.Response:
    """Answer once the whole body has arrived."""
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.Response(text=f"{size}")


async def events(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b"event: open\ndata: {}\n\n")
    await asyncio.Event().wait()
    return answer


async def socket(request: web.Request) -> web.WebSocketResponse:
    channel = web.WebSocketResponse()
    await channel.prepare(request)
    async for message in channel:
        if message.type is WSMsgType.TEXT:
            await channel.send_str(message.data)
    return channel


async def serve(port: int) -> None:
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.add_routes(
        [
            web.post("/api/take", take),
            web.get("/api/events", events),
            web.get("/api/socket", socket),
        ]
    )
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
