"""An explanation as plain data, and as text. No token, no value of a cookie, no query and no value
of a field that the browser sent is in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bff.app import FoundSession, SessionState
from bff.cli.checks.verdict import printable
from bff.cli.explaining.advice import advice_on
from bff.errors import BffError
from bff.gate import cookies
from bff.gate.explained import Step
from bff.gate.outcome import Answer, Decision, Forward, Local
from bff.gate.routes import TokenKind
from bff.model import Session, public_id

Document = dict[str, Any]

# Fields that the gateway itself sets, of which the value is worth seeing.
_SHOWN = frozenset(
    {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix", b"via"}
)


def of_session(found: FoundSession, key: str) -> Document:
    """What the store says of a session, by the id that `bff sessions list` shows."""
    document: Document = {"state": str(found.state), "id": public_id(key)}
    if found.session is not None:
        document |= _times(found.session)
    return document


def _times(session: Session) -> Document:
    return {
        "frontend": session.frontend,
        "provider": session.provider,
        "created_at": int(session.created_at),
        "expires_at": int(min(session.expires_at, session.idle_expires_at)),
        "token_expires_at": int(session.tokens.expires_at),
    }


def of_steps(steps: Iterable[Step]) -> list[Document]:
    return [
        {"rule": step.rule, "passed": step.refusal is None, "said": printable(step.said)}
        for step in steps
    ]


def of_outcome(decision: Decision, *, is_refreshed: bool) -> Document:
    """What becomes of the request. `is_refreshed`: it has waited for a new token."""
    if isinstance(decision, Forward):
        return {"kind": "forward", "upstream": _upstream(decision, is_refreshed=is_refreshed)}
    if isinstance(decision, Local):
        return {
            "kind": "local",
            "endpoint": decision.endpoint,
            "path": decision.route,
            "clears_cookie": decision.clear_cookie,
        }
    if isinstance(decision, Answer):
        return of_refusal(decision.error, clears_cookie=decision.clear_cookie)
    return {"kind": "unknown"}


def of_refusal(error: BffError, *, clears_cookie: bool = False) -> Document:
    return {
        "kind": "refused",
        "status": error.status,
        "code": error.code,
        "title": error.title,
        "detail": printable(error.log_detail),
        "clears_cookie": clears_cookie,
        "documented": f"docs/errors.md, {error.code}",
        "next": advice_on(error),
    }


def _upstream(decision: Forward, *, is_refreshed: bool) -> Document:
    route = decision.route
    path, mark, _ = decision.path_and_query.decode("latin-1").partition("?")
    query = "?(as sent)" if mark else ""
    return {
        "route": f"{route.prefix}/",
        "token": str(route.token),
        "method": decision.method,
        "addresses": [f"{one}{path}{query}" for one in route.upstreams],
        "headers": [*_headers(decision)],
        "not_passed_on": sorted({name.decode("latin-1") for name in decision.stripped}),
        "refresh_in_background": decision.refresh_due and not is_refreshed,
    }


def _headers(decision: Forward) -> Iterator[Document]:
    for name, value in decision.fields:
        yield _header(name, value, decision.route.token)
    if decision.dpop_key is not None:  # the token is bound to it (RFC 9449 section 7)
        yield {"name": "DPoP", "value": "(a new proof for each request)"}


def _header(name: bytes, value: bytes, token: TokenKind) -> Document:
    lower = name.lower()
    if lower == b"authorization":
        scheme = value.partition(b" ")[0].decode("latin-1")
        shown = f"{scheme} (the {token} token, hidden)"
    elif lower == b"cookie":
        names = b", ".join(one for one, _ in cookies.pairs([value])).decode("latin-1")
        shown = f"{names} (hidden)"
    elif lower in _SHOWN:
        shown = value.decode("latin-1")
    else:
        shown = "(new for each request)" if lower == b"x-request-id" else "(as sent)"
    return {"name": name.decode("latin-1"), "value": printable(shown)}


def text(document: Document) -> Iterator[str]:
    """The lines for people."""
    asked = document["request"]
    where = printable(f"{asked['path']} at {asked['host']}")
    yield f"request   {asked['method']} {where}, as {asked['as']}"
    yield f"          with {', '.join(asked['headers'])}"
    yield f"frontend  {document['frontend'] or 'none'}"
    yield f"route     {document['route'] or 'none'}"
    yield f"session   {_session_line(document['session'])}"
    yield "decision"
    yield from _step_lines(document["steps"])
    for waited in document["waits"]:
        yield f"  wait    {waited}"
    yield from _outcome_lines(document["outcome"])


def _session_line(session: Document) -> str:
    state = session["state"]
    of = f" {session['id']}" if "id" in session else ""
    notes = {
        "not asked": "none: no --cookie-file was given, so the store was not asked",
        "not in file": "none: the file holds no session cookie for this request",
        "not signed": "none: the cookie was not signed by any frontend of this configuration",
        "other frontend": f"none: the cookie is of the frontend {session.get('frontend')}",
        "not needed": "not looked up: the decision does not depend on it",
        "store failed": f"not known{of}: the store did not answer",
        SessionState.FOUND: f"found{of}",
        SessionState.NONE: f"none{of}: it has ended or expired, or is in another store",
        SessionState.EXPIRED: f"expired{of}",
        SessionState.FOREIGN: f"none{of}: the record is of another gateway, client or secret",
        SessionState.UNREADABLE: f"none{of}: the record can't be read",
        SessionState.IN_MEMORY: f"not known{of}: memory:// is in the running gateway only",
    }
    return notes[state]


def _step_lines(steps: Sequence[Document]) -> Iterator[str]:
    width = max((len(step["rule"]) for step in steps), default=0)
    for step in steps:
        mark = "pass" if step["passed"] else "STOP"
        yield f"  {mark}    {step['rule']:<{width}}  {step['said']}"


def _outcome_lines(outcome: Document) -> Iterator[str]:
    if outcome["kind"] == "refused":
        detail = f" ({outcome['detail']})" if outcome["detail"] else ""
        yield f"refused   {outcome['status']} {outcome['code']}: {outcome['title']}{detail}"
        if outcome["clears_cookie"]:
            yield "          the session cookie is deleted with the answer"
        yield f"          see {outcome['documented']}"
        yield f"next      {outcome['next']}"
    elif outcome["kind"] == "local":
        yield f"answered  by the gateway: {outcome['endpoint']} ({outcome['path']})"
        if outcome["clears_cookie"]:
            yield "          where it finds no session, the session cookie is deleted"
    elif outcome["kind"] == "forward":
        yield from _upstream_lines(outcome["upstream"])
    else:
        yield "unknown   the decision depends on a session that can't be looked up from here"


def _upstream_lines(upstream: Document) -> Iterator[str]:
    one_of = "one of " if len(upstream["addresses"]) > 1 else ""
    yield f"token     {upstream['token']}"
    yield f"forwarded {upstream['method']} to {one_of}{', '.join(upstream['addresses'])}"
    for header in upstream["headers"]:
        yield f"          {header['name']}: {header['value']}"
    if upstream["not_passed_on"]:
        yield f"          not passed on: {', '.join(upstream['not_passed_on'])}"
    if upstream["refresh_in_background"]:
        yield "          and the token would be refreshed in the background"
