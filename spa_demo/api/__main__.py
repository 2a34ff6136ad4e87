"""`python -m spa_demo.api`: the demo API on a loopback port."""

import socket

import click
from aiohttp import web

from spa_demo.api import ApiSettings, build_api


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9001, show_default=True, help="0 takes any free port.")
@click.option("--issuer", required=True, help="The OP that issues the access tokens.")
@click.option("--discovery-url", default="", help="Where its metadata is, if not below the issuer.")
@click.option("--audience", default="urn:demo:api", show_default=True)
def main(host: str, port: int, issuer: str, discovery_url: str, audience: str) -> None:
    """Run the demo API. It prints one line, with its URL, when it is ready."""
    listener = socket.create_server((host, port), backlog=128)
    ready = f"demo API ready: http://{host}:{listener.getsockname()[1]}"
    app = build_api(ApiSettings(issuer, audience, discovery_url))
    web.run_app(app, sock=listener, access_log=None, print=lambda _: click.echo(ready))


if __name__ == "__main__":
    main()
