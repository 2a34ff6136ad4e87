"""[spa]: the single-page app, from a directory or from a development server."""

from pydantic import Field

from bff.config.files import SiteRoot
from bff.config.section import Section
from bff.config.texts import FieldValue, PathPattern
from bff.config.urls import DevServerUrl
from bff.gate.routes import CsrfMode, Route, Spelling, TokenKind


class SpaSettings(Section):
    """Neither `root` nor `dev_server`: something else serves the app."""

    root: SiteRoot | None = Field(
        default=None,
        description="Directory of the built app. Paths that are no file get its index.html.",
        examples=["dist"],
    )
    dev_server: DevServerUrl | None = Field(
        default=None,
        description="Origin of a development server to pass requests to: plain http, on this "
        "machine or in a private network (a container's name, a private address). It is sent the "
        "Host of public_url.",
        examples=["http://127.0.0.1:5173", "http://vite:5173"],
    )
    content_security_policy: FieldValue | None = Field(
        default=None,
        description="Content-Security-Policy of the app's pages instead of the strict default.",
        examples=["default-src 'self'; img-src 'self' https://cdn.example.com"],
    )
    immutable: tuple[PathPattern, ...] | None = Field(
        default=None,
        description="Paths of files that never change, as patterns with `*`: browsers keep them "
        "for a year and do not ask again. Unset, files whose names end in a hash, as Vite, "
        "webpack, Create React App and Angular write them. Pages are never meant; `[]` is none.",
        examples=[["/assets/*"]],
    )

    def dev_server_route(self, public_host: str) -> Route | None:
        """The route to the development server, if there is one, which is sent the application's
        own host: its name in a container network is one that it does not answer."""
        if self.dev_server is None:
            return None
        return Route(
            prefix="",
            upstreams=(self.dev_server,),
            token=TokenKind.NONE,
            methods=frozenset({"GET", "HEAD"}),
            strip_prefix=False,
            csrf=CsrfMode.SAME_ORIGIN,
            websocket=True,  # its hot reload
            dev_host=public_host,
            allow_in_path=frozenset(Spelling),  # what is not the app's page is its own file
        )
