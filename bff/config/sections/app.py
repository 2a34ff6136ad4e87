"""[spa], [user] and [csrf]: the single-page app, what it learns of the user, and the header of its
calls, which a page of another origin cannot send without a preflight.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool

from bff.config.sections import Section
from bff.config.values.files import SiteRoot
from bff.config.values.paths import PathPattern
from bff.config.values.texts import FieldValue, NonEmpty, Token
from bff.config.values.urls import DevServerUrl
from bff.gate.csrf import HEADER_NAME, HEADER_VALUE, CsrfGuard, require_guarding
from bff.gate.routes import CsrfMode, Route, Spelling, TokenKind
from bff.tokens.policy import ShownClaims


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


# `bff` is the gateway's own member of the answer; the others belong to the protocol, and a script
# has no use for them but a wrong one.
MAX_CLAIM_PATH = 255
MAX_TOKEN_CLAIMS = 20
_NOT_FOR_THE_BROWSER = frozenset({"bff", "at_hash", "c_hash", "s_hash", "nonce", "sid"})


def refuse_internal(claim: str) -> str:
    if claim in _NOT_FOR_THE_BROWSER:
        raise ValueError("is not for the browser")
    return claim


def require_claim_path(path: str) -> str:
    """Names of claims with dots between them. Raises: ValueError."""
    if len(path) > MAX_CLAIM_PATH or "" in path.split("."):
        raise ValueError(f"must be names with single dots between, at most {MAX_CLAIM_PATH} long")
    return refuse_internal(path)


def refuse_subject(name: str) -> str:
    if name == "sub":
        raise ValueError("is the identity's own, and always shown")
    return name


ClaimName = Annotated[NonEmpty, AfterValidator(refuse_internal)]


class UserSettings(Section):
    claims: tuple[ClaimName, ...] = Field(
        default=("name", "email", "picture"),
        description='Claims of the user that the browser may see, beside "sub".',
    )
    access_token_claims: Annotated[
        dict[
            Annotated[ClaimName, AfterValidator(refuse_subject)],
            Annotated[NonEmpty, AfterValidator(require_claim_path)],
        ],
        Field(max_length=MAX_TOKEN_CLAIMS),
    ] = Field(
        default={},
        description="Claims of the access token that the browser may see as well, by the name that "
        "/bff/user gives them: the path to each, with dots between its names. FOR DISPLAY ONLY: "
        "the token is the API's, its signature is not verified here, and the gateway decides "
        "nothing by it. A token that is no JWT, or has no such claim, shows none.",
        examples=[{"roles": "realm_access.roles"}],
    )
    authorization_details: StrictBool = Field(
        default=False,
        description="Whether /bff/user shows the authorization details that the OP has granted, "
        "where logins ask for some (RFC 9396).",
    )
    anonymous: Literal["401", "null"] = Field(
        default="401",
        description='What /bff/user answers without a session: "401", or "null" for '
        "200 with the JSON value null.",
    )

    def shown(self) -> ShownClaims:
        """What /bff/user may show."""
        return ShownClaims(frozenset(self.claims), self.access_token_claims)


class CsrfSettings(Section):
    header_name: Annotated[Token, AfterValidator(require_guarding)] = Field(
        default=HEADER_NAME,
        description="Header that every call of the app must carry.",
    )
    header_value: FieldValue = Field(default=HEADER_VALUE, description="Its value.")

    def guard(self, origin: str) -> CsrfGuard:
        """The guard of an application at `origin`."""
        return CsrfGuard(
            origin=origin.encode(),
            header_name=self.header_name.lower().encode(),
            header_value=self.header_value.encode(),
        )
