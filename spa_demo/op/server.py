"""Builds the demo OP: every object once, then the routes."""

import asyncio
import logging

from aiohttp import web

from bff.clock import Clock, SystemClock
from spa_demo.op.authorization_server import DemoServer
from spa_demo.op.authorize import Authorize
from spa_demo.op.backchannel import BackChannel
from spa_demo.op.cookies import OpCookies
from spa_demo.op.device import DeviceGrant, DevicePages
from spa_demo.op.forms import InteractionForms
from spa_demo.op.grants import IdTokens
from spa_demo.op.keys import SigningKeys
from spa_demo.op.logout import Logout
from spa_demo.op.metadata import provider_metadata
from spa_demo.op.pushed_requests import PATH as PAR_PATH
from spa_demo.op.pushed_requests import PushedRequests
from spa_demo.op.registration import RegistrationEndpoint
from spa_demo.op.request_objects import RequestObjects
from spa_demo.op.settings import OpSettings
from spa_demo.op.state import OpState
from spa_demo.op.userinfo import UserInfo
from spa_demo.op.web_io import harden, read_request, respond, see, show_refusals

MAX_BODY_BYTES = 64 * 1024

OP_STATE = web.AppKey("op_state", OpState)
OP_KEYS = web.AppKey("op_keys", SigningKeys)
OP_BACK_CHANNEL = web.AppKey("op_back_channel", BackChannel)


def build_op(
    settings: OpSettings, clock: Clock | None = None, keys: SigningKeys | None = None
) -> web.Application:
    """The provider as an application; its records are at `app[OP_STATE]`, counters with them."""
    # Authlib logs whole token responses at DEBUG; tokens have no place in any log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    clock = clock or SystemClock()
    keys = keys or SigningKeys()
    state = OpState(settings, clock)
    server = DemoServer(settings, state, keys, clock)
    cookies = OpCookies(secure=settings.is_secure)
    back_channel = BackChannel(settings, state, server.tokens)
    pushed = PushedRequests(server, RequestObjects(settings, state.clients, clock))
    authorize = Authorize(server, cookies, pushed)
    forms = InteractionForms(settings, state, cookies, authorize, back_channel)
    logout = Logout(settings, state, keys, cookies, back_channel)
    server.register_grant(DeviceGrant, [IdTokens(server.tokens)])
    devices = DevicePages(server, cookies, back_channel)

    app = web.Application(middlewares=[show_refusals], client_max_size=MAX_BODY_BYTES)
    app[OP_STATE] = state
    app[OP_KEYS] = keys
    app[OP_BACK_CHANNEL] = back_channel
    app.cleanup_ctx.append(back_channel.run)
    app.on_response_prepare.append(harden)
    app.add_routes(_documents(settings, state, keys))
    app.add_routes(_protocol(settings, server))
    if settings.device_login:
        app.add_routes(devices.routes())
    if settings.par != "off":
        app.add_routes([web.post(PAR_PATH, pushed.handle)])
    if settings.initial_access_token is not None:
        app.add_routes(RegistrationEndpoint(settings, state, clock).routes())
    app.add_routes(
        [
            web.get("/", _home),
            web.get("/authorize", authorize.handle),
            web.post("/authorize", authorize.handle),
            web.get("/interaction/{id}", forms.show),
            web.post("/interaction/{id}/login", forms.log_in),
            web.post("/interaction/{id}/consent", forms.consent),
            web.get("/end-session", logout.end_session),
            web.post("/end-session", logout.end_session),
            web.post("/end-session/confirm", logout.confirm),
            web.get("/account", logout.account),
            web.post("/account/sign-out", logout.sign_out),
        ]
    )
    return app


async def _home(_request: web.Request) -> web.Response:
    return see("/account")


def _documents(settings: OpSettings, state: OpState, keys: SigningKeys) -> list[web.RouteDef]:
    """Metadata, keys and, where they are wanted, the counts."""

    async def metadata(_request: web.Request) -> web.Response:
        state.counters.requests["metadata"] += 1
        return web.json_response(provider_metadata(settings))

    async def jwks(_request: web.Request) -> web.Response:
        state.counters.requests["jwks"] += 1
        return web.json_response(keys.jwks())

    async def stats(_request: web.Request) -> web.Response:
        active = len(state.active_families())
        sessions = len(state.sessions())
        counts = state.counters.as_json()
        return web.json_response({**counts, "active_families": active, "sessions": sessions})

    routes = [web.get("/.well-known/openid-configuration", metadata), web.get("/jwks", jwks)]
    if settings.expose_test_stats:
        routes.append(web.get("/debug/stats", stats))
    return routes


def _protocol(settings: OpSettings, server: DemoServer) -> list[web.RouteDef]:
    """The endpoints that clients call directly."""

    async def token(request: web.Request) -> web.Response:
        answer = server.answer_token_request(await read_request(request, settings))
        if settings.token_delay_seconds:
            await asyncio.sleep(settings.token_delay_seconds)
        return respond(answer)

    async def revoke(request: web.Request) -> web.Response:
        return respond(server.answer_endpoint("revocation", await read_request(request, settings)))

    async def introspect(request: web.Request) -> web.Response:
        server.state.counters.requests["introspection"] += 1
        form = await read_request(request, settings)
        return respond(server.answer_endpoint("introspection", form))

    userinfo = UserInfo(server)
    return [
        web.post("/token", token),
        web.post("/revoke", revoke),
        web.post("/introspect", introspect),
        web.get("/userinfo", userinfo.handle),
        web.post("/userinfo", userinfo.handle),
    ]
