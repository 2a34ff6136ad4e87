"""`python -m tests.chaos.faulty_op`: the demo OP with many users, faults, and a control listener.

Beside the OP's own port, the control port takes `POST /fault`, `POST /listen` and `GET /ledger`.
A login needs no form here: `login_hint` names the user, and the OP believes it.
"""

import asyncio
import dataclasses
import signal
from typing import Any

import click
from aiohttp import web

from spa_demo.op import OP_STATE, Client, OpSettings, User, build_op
from spa_demo.op.cookies import SESSION
from spa_demo.op.settings import DEFAULT_SCOPE
from tests.chaos.faults import Fault, Faults, Handler
from tests.parts.servers import Server


def user_name(number: int) -> str:
    return f"user-{number}"


def some_users(count: int) -> tuple[User, ...]:
    names = [user_name(number) for number in range(count)]
    return tuple(User(name, "", name, f"{name}@example.test") for name in names)


class Op:
    """The application with its faults, and what the control listener does with them."""

    def __init__(self, settings: OpSettings, port: int) -> None:
        self._settings = settings
        application = build_op(settings)
        self._state = application[OP_STATE]
        self._faults = Faults(self._state)
        application.middlewares.append(self._faults.middleware)
        application.middlewares.append(self._log_in)
        self.server = Server(application, port)

    def control(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.post("/fault", self._set_fault),
                web.post("/listen", self._listen),
                web.get("/ledger", self._ledger),
            ]
        )
        return application

    @web.middleware
    async def _log_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give the browser the session of the user it names."""
        user = self._settings.user(request.query.get("login_hint", ""))
        if request.path != "/authorize" or user is None:
            return await handler(request)
        session = self._state.open_session(user, self._settings.acr_values[0])
        session.consents[request.query["client_id"]] = frozenset(DEFAULT_SCOPE.split())
        headers = {**request.headers, "Cookie": f"{SESSION}={session.cookie}"}
        return await handler(request.clone(headers=headers))

    async def _set_fault(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self._faults.kind = Fault(asked["kind"])
        self._faults.seconds = asked.get("seconds", 0.0)
        self._faults.grace_seconds = asked.get("grace_seconds", 0.0)
        return web.json_response({})

    async def _listen(self, request: web.Request) -> web.Response:
        if (await request.json())["listen"]:
            await self.server.start()
        else:
            await self.server.stop()
        return web.json_response({})

    async def _ledger(self, request: web.Request) -> web.Response:
        since = float(request.query["since"])
        told: dict[str, Any] = {
            "refreshes": [
                dataclasses.asdict(refresh)
                for refresh in self._faults.ledger
                if refresh.arrived_at >= since
            ],
            "reuse_detected": self._state.counters.reuse_detected,
        }
        return web.json_response(told)


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--control-port", type=int, required=True)
@click.option("--public-url", required=True)
@click.option("--client-id", required=True)
@click.option("--client-secret", required=True)
@click.option("--users", type=int, required=True)
@click.option("--access-token-seconds", type=int, required=True)
def main(
    port: int,
    control_port: int,
    public_url: str,
    client_id: str,
    client_secret: str,
    users: int,
    access_token_seconds: int,
) -> None:
    """Run until SIGTERM."""
    client = Client(client_id, client_secret, redirect_uris=(f"{public_url}/bff/callback",))
    settings = OpSettings(
        f"http://127.0.0.1:{port}",
        (client,),
        users=some_users(users),
        access_token_seconds=access_token_seconds,
    )
    asyncio.run(run(Op(settings, port), control_port))


async def run(op: Op, control_port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    control = Server(op.control(), control_port)
    await op.server.start()
    await control.start()
    await stop.wait()
    await op.server.close()
    await control.close()


if __name__ == "__main__":
    main()
