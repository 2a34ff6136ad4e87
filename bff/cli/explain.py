"""`bff explain`: what would become of a request, asked of the gate itself."""

import asyncio
import ipaddress
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, assert_never

import click

from bff.app import ExplainedGateway, FoundSession, SessionState
from bff.cli.explaining import report
from bff.cli.explaining.request import (
    AskedRequest,
    CookieFileUnusable,
    Sender,
    as_asked_for,
    is_method,
    read_cookies,
    read_header,
)
from bff.cli.options import config_option
from bff.clock import SystemClock
from bff.config import Settings
from bff.config.frontends import Frontend
from bff.errors import ApiTokenRefused, SessionEnded, StoreUnavailable
from bff.gate import cookies
from bff.gate.csrf import CsrfGuard
from bff.gate.outcome import Known, Needs, Wait
from bff.model import Session, Tokens, TokenTarget
from bff.observability import logs
from bff.tokens.coordinator import require_refreshable

NOT_LOOKED_UP = 1
_HIDDEN = "hidden"


@click.command()
@config_option
@click.argument("method")
@click.argument("path")
@click.option("--host", help="The Host of the request; by default that of the first frontend.")
@click.option(
    "--cookie-file",
    type=click.File("r", encoding="utf-8"),
    help="The browser's cookies: a Cookie header, or a list as curl writes it; - reads stdin.",
)
@click.option("--header", "headers", multiple=True, help="'Name: value', as often as needed.")
@click.option(
    "--as",
    "sender",
    type=click.Choice([str(one) for one in Sender]),
    default=str(Sender.SCRIPT),
    show_default=True,
    help="Sent by a script of the application, as a page that the user opens, or bare of what a "
    "browser adds.",
)
@click.option(
    "--peer",
    default="127.0.0.1",
    show_default=True,
    help="The address that the connection comes from.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def explain(
    settings: Settings,
    *,
    method: str,
    path: str,
    host: str | None,
    cookie_file: IO[str] | None,
    headers: Sequence[str],
    sender: str,
    peer: str,
    as_json: bool,
) -> None:
    """Tell what would become of a request: which frontend and route it has come for, what each rule
    says of it, and what would go upstream, or why it is refused.

    PATH may be a whole address, as a browser shows it. Nothing is sent, written or refreshed: of
    the store one session is read, and only with --cookie-file. Limits are not asked. No token, no
    value of a cookie and no query is shown.

    Exit code 0: explained, whatever the answer. 1: the session could not be looked up. 2: the
    command or the configuration is not valid.
    """
    logs.configure(level="critical", log_format=settings.log.format)
    gateway = ExplainedGateway(settings, SystemClock())
    if host is None:
        host, path = as_asked_for(path)
    chosen = gateway.frontends[0].settings.server.authority if host is None else host
    _require_readable(method, path, chosen, peer)
    try:
        given = [read_header(one) for one in headers]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--header") from None
    try:
        sent = "" if cookie_file is None else read_cookies(cookie_file.read(), chosen, path)
    except (CookieFileUnusable, UnicodeDecodeError) as error:
        said = str(error) if isinstance(error, CookieFileUnusable) else "is not UTF-8 text"
        raise click.BadParameter(said, param_hint="--cookie-file") from None
    asked = AskedRequest(method, path, chosen, peer, Sender(sender), given, sent)
    document = asyncio.run(_explained(gateway, asked, has_file=cookie_file is not None))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        for line in report.text(document):
            click.echo(line)
    if document["outcome"]["kind"] == "unknown" or document["session"]["state"] == "store failed":
        sys.exit(NOT_LOOKED_UP)


def _require_readable(method: str, path: str, host: str, peer: str) -> None:
    """Raises: click.BadParameter."""
    if not is_method(method):
        # RFC 9110 section 9.1
        found = "methods are case-sensitive" if is_method(method.upper()) else "is no method"
        said = f"{found}: the gateway answers 400 bad_request before it asks any rule"
        raise click.BadParameter(said, param_hint="METHOD")
    for hint, text in (("PATH", path), ("--host", host)):
        if not text.isprintable():
            raise click.BadParameter("must be printable text", param_hint=hint)
    try:
        ipaddress.ip_address(peer)
    except ValueError:
        raise click.BadParameter("is no IP address", param_hint="--peer") from None


async def _explained(
    gateway: ExplainedGateway, asked: AskedRequest, *, has_file: bool
) -> report.Document:
    try:
        return await _Explanation(gateway, asked, has_file=has_file).document()
    finally:
        await gateway.close()


class _Explanation:
    """One request, asked about until nothing has to be waited for."""

    def __init__(self, gateway: ExplainedGateway, asked: AskedRequest, *, has_file: bool) -> None:
        self._gateway = gateway
        self._asked = asked
        self._has_file = has_file
        self._waits: list[str] = []
        self._is_refreshed = False
        self._session: report.Document = {"state": "not asked"}

    async def document(self) -> report.Document:
        first, _ = self._gateway.decide(self._asked.head())
        frontend = self._frontend(first.identity.frontend)
        head = self._asked.head(_guard(frontend))
        self._session = self._session_of_cookie(frontend)
        decision, steps = self._gateway.decide(head)
        outcome = None
        while isinstance(decision, Wait):
            try:
                known = await self._known(decision)
            except StoreUnavailable as error:
                self._session["state"] = "store failed"
                outcome = report.of_refusal(error)
                break
            except SessionEnded as error:
                outcome = report.of_refusal(error, clears_cookie=decision.may_clear_cookie)
                break
            except ApiTokenRefused as error:
                outcome = report.of_refusal(error)
                break
            if known is None:
                break
            decision, steps = self._gateway.decide(head, known)
        return {
            "request": {
                "method": self._asked.method,
                "path": self._asked.target.partition("?")[0],
                "host": self._asked.named_host,
                "as": str(self._asked.sender),
                "headers": [name.decode() for name, _ in head.fields],
            },
            "frontend": decision.identity.frontend or None,
            "route": (frontend and self._gateway.route_of(head)) or None,
            "session": self._session,
            "steps": report.of_steps(steps),
            "waits": self._waits,
            "outcome": outcome or report.of_outcome(decision, is_refreshed=self._is_refreshed),
        }

    def _frontend(self, name: str) -> Frontend | None:
        return next((one for one in self._gateway.frontends if one.name == name), None)

    def _session_of_cookie(self, frontend: Frontend | None) -> report.Document:
        """What can be told of it without the store."""
        if not self._has_file:
            return {"state": "not asked"}
        if frontend is None:
            return {"state": "not needed"}
        value = cookies.find([self._asked.cookies.encode()], frontend.session_cookie.encode())
        if not isinstance(value, bytes):
            return {"state": "not in file"}
        signer = self._gateway.signed_by(value.decode("latin-1"))
        if signer is None:
            return {"state": "not signed"}
        if signer != frontend.name:
            return {"state": "other frontend", "frontend": signer}
        return {"state": "not needed"}

    async def _known(self, wait: Wait) -> Known | None:
        """What a running gateway would find by waiting, as far as that may be looked at.

        Raises:
            StoreUnavailable: the store did not answer.
            SessionEnded, ApiTokenRefused: a refresh is needed, and can't be had.
        """
        if wait.needs is Needs.SESSION:
            self._session = report.of_session(FoundSession(SessionState.IN_MEMORY), wait.key)
            found = await self._gateway.find(wait.key)
            self._session = report.of_session(found, wait.key)
            if found.state is SessionState.IN_MEMORY:
                return None
            is_live = found.state is SessionState.FOUND
            return Known(session=found.session if is_live else None)
        session = wait.session
        if wait.needs is Needs.CLIENT_TOKEN:
            self._waits.append(f"for a token of the gateway's own from {wait.provider}: not asked")
            return Known(session=session, token=self._new_token(self._key_for(wait.provider)))
        if wait.needs is Needs.EXCHANGED_TOKEN:
            self._waits.append("for a token in exchange for the user's: not asked")
            return Known(session=session, token=self._new_token(self._key_of(session)))
        if wait.needs is Needs.VERDICT:
            self._waits.append("for what the OP says of the token (introspect): not asked")
            return Known(session=session, token=wait.token, refreshed=True, is_active=True)
        if wait.needs is not Needs.FRESH_TOKEN:
            assert_never(wait.needs)
        self._waits.append("for a refresh, as there is no valid token of the user's: not asked")
        self._is_refreshed = True
        if session is not None:
            require_refreshable(session, wait.target)
            session = self._refreshed(session, wait.target)
        return Known(session=session, refreshed=True)

    def _refreshed(self, session: Session, target: TokenTarget | None) -> Session:
        """As a refresh would leave it, with tokens that are none."""
        key = self._key_of(session)
        if target is None:
            return replace(session, tokens=replace(session.tokens, dpop_key=key))
        return replace(session, api_tokens={**session.api_tokens, target.key: self._new_token(key)})

    def _key_of(self, session: Session | None) -> str | None:
        """The key that further tokens of a session would be bound to (RFC 9449): its own, or what
        stands for one that is not made yet."""
        if session is None:
            return None
        return session.tokens.dpop_key or self._key_for(session.provider)

    def _key_for(self, provider: str) -> str | None:
        """What stands for a new key, where tokens are bound."""
        return _HIDDEN if self._gateway.binds_tokens(provider) else None

    @staticmethod
    def _new_token(key: str | None) -> Tokens:
        """What stands for a token that is not asked for."""
        return Tokens(_HIDDEN, obtained_at=0, expires_at=0, dpop_key=key)


def _guard(frontend: Frontend | None) -> CsrfGuard | None:
    if frontend is None:
        return None
    return frontend.settings.csrf.guard(frontend.settings.server.public_url)
