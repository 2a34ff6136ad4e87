"""`python -m spa_demo.op`: the demo OP on a loopback port, for one gateway and one API."""

import socket

import click
from aiohttp import web

from spa_demo.op import Client, OpSettings, build_op
from spa_demo.op.settings import DEFAULT_SCOPE


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9000, show_default=True, help="0 takes any free port.")
@click.option("--issuer", default=None, help="Default: http://HOST:PORT.")
@click.option("--client-id", default="spa", show_default=True)
@click.option("--client-secret", required=True, envvar="DEMO_CLIENT_SECRET")
@click.option("--redirect-uri", "redirect_uris", multiple=True, required=True)
@click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", multiple=True)
@click.option("--backchannel-logout-uri", default=None)
@click.option("--scope", default=DEFAULT_SCOPE, show_default=True, help="What the client may ask.")
@click.option("--api-client-id", default=None, help="A client that may introspect tokens.")
@click.option("--api-client-secret", default="", envvar="DEMO_API_CLIENT_SECRET")
@click.option("--audience", default="urn:demo:api", show_default=True)
@click.option("--access-token-seconds", default=60, show_default=True)
@click.option("--refresh-token-seconds", default=3600, show_default=True)
@click.option("--token-delay-seconds", default=0.0, help="Hold token answers back.")
@click.option(
    "--initial-access-token",
    default=None,
    envvar="DEMO_INITIAL_ACCESS_TOKEN",
    help="Let clients that present it register themselves.",
)
@click.option("--test-stats", is_flag=True, help="Serve counts at /debug/stats.")
def main(
    host: str,
    port: int,
    issuer: str | None,
    client_id: str,
    client_secret: str,
    redirect_uris: tuple[str, ...],
    post_logout_redirect_uris: tuple[str, ...],
    backchannel_logout_uri: str | None,
    scope: str,
    api_client_id: str | None,
    api_client_secret: str,
    audience: str,
    access_token_seconds: int,
    refresh_token_seconds: int,
    token_delay_seconds: float,
    initial_access_token: str | None,
    test_stats: bool,
) -> None:
    """Run the demo OpenID provider. It prints one line, with its issuer, when it is ready."""
    client = Client(
        client_id=client_id,
        client_secret=client_secret,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=post_logout_redirect_uris,
        backchannel_logout_uri=backchannel_logout_uri,
        scope=scope,
    )
    clients = [client]
    if api_client_id:
        clients.append(
            Client(api_client_id, api_client_secret, grant_types=frozenset(), may_introspect=True)
        )
    listener = socket.create_server((host, port), backlog=128)
    settings = OpSettings(
        issuer=issuer or f"http://{host}:{listener.getsockname()[1]}",
        clients=tuple(clients),
        audience=audience,
        access_token_seconds=access_token_seconds,
        refresh_token_seconds=refresh_token_seconds,
        token_delay_seconds=token_delay_seconds,
        expose_test_stats=test_stats,
        initial_access_token=initial_access_token,
    )
    ready = f"demo OP ready: {settings.issuer}"
    app = build_op(settings)
    web.run_app(app, sock=listener, access_log=None, print=lambda _: click.echo(ready))


if __name__ == "__main__":
    main()
