"""A frontend that notes which rules it asks of a request, in order, and what each has said.

The rules are those of `gate.frontend`, asked there: a step is noted from what a rule returned or
raised, so that an explanation can't differ from the decision. Not for serving: one decision at a
time, and it costs more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bff.errors import (
    BadHandshake,
    BffError,
    CsrfRefused,
    LoopDetected,
    MethodNotAllowed,
    StepUpRequired,
    TokenInactive,
    UpgradeNotSupported,
)
from bff.gate import cookies
from bff.gate.cookies import Cookie
from bff.gate.endpoints import EndpointRule
from bff.gate.frontend import Frontend, ReadRequest
from bff.gate.head import ScannedFields
from bff.gate.outcome import Answer, Decision, Known, Needs, Wait
from bff.gate.routes import CsrfMode, Introspect, Route, TokenKind
from bff.model import Session, Tokens, public_id
from bff.oidc.step_up import StepUp


@dataclass(frozen=True, slots=True)
class Step:
    """One rule and what it said. `refusal` is set for the one that refused the request."""

    rule: str
    said: str
    refusal: BffError | None = None


# A rule, what it says when it lets a request pass, and what it raises when it does not.
_Rule = tuple[str, str, tuple[type[BffError], ...]]


class ExplainedFrontend(Frontend):
    """`steps` are those of the latest decision."""

    def decide(self, request: ReadRequest) -> Decision:
        self.steps: list[Step] = []
        decision = super().decide(request)
        if isinstance(decision, Answer) and all(step.refusal is None for step in self.steps):
            # A refusal before or behind all rules that are told by name.
            rule = "session" if self.steps else "path"
            self.steps.append(Step(rule, decision.error.title, decision.error))
        return decision

    def _decide_local(self, rule: EndpointRule, request: ReadRequest) -> Decision:
        self._note_path(request, f"the gateway's own endpoint {self.route_of(request.target.path)}")
        return super()._decide_local(rule, request)

    def _require_local(self, rule: EndpointRule, request: ReadRequest) -> bool:
        method = request.head.method
        guard = rule.guards[method].name.lower() if method in rule.guards else ""
        rules = (
            ("method", f"{method} is allowed", (MethodNotAllowed,)),
            ("initiator", f"the endpoint's guard ({guard}) lets it pass", (BffError,)),
        )
        try:
            by_form = super()._require_local(rule, request)
        except BffError as error:
            self._note_all(rules, error)
            raise
        self._note_all(rules)
        return by_form

    def _decide_forward(self, route: Route, request: ReadRequest) -> Decision:
        self._note_path(request, f"the route {route.prefix}/")
        return super()._decide_forward(route, request)

    def _require_forwardable(self, route: Route, request: ReadRequest) -> bytes | None:
        rules: list[_Rule] = [
            ("method", f"{request.head.method} is allowed", (MethodNotAllowed,)),
            ("loop", "has not passed this gateway before", (LoopDetected,)),
        ]
        handshake: _Rule = ("upgrade", "a WebSocket handshake", (UpgradeNotSupported, BadHandshake))
        try:
            key = super()._require_forwardable(route, request)
        except BffError as error:
            self._note_all([*rules, handshake, ("origin", "", (CsrfRefused,))], error)
            raise
        if key is None:
            rules.append(("upgrade", "none that counts is asked for", ()))
        else:
            rules += [handshake, ("origin", "the handshake is from the application's own page", ())]
        self._note_all(rules)
        return key

    def _require_guard(self, request: ReadRequest, mode: CsrfMode) -> None:
        rules = (("csrf", f"the guard lets it pass (mode {mode})", (CsrfRefused,)),)
        try:
            super()._require_guard(request, mode)
        except BffError as error:
            self._note_all(rules, error)
            raise
        self._note_all(rules)

    def _session_key(self, fields: ScannedFields) -> str | None:
        key = super()._session_key(fields)
        name = self.rules.session_cookie.decode()
        if key is not None:
            said = f"{name} is signed by this frontend"
        else:
            value = cookies.find(fields.values(b"cookie"), self.rules.session_cookie)
            if value is Cookie.ABSENT:
                said = f"there is no {name}"
            elif value is Cookie.DUPLICATE:
                said = f"there are several of {name}: none of them counts"
            else:
                said = f"{name} was not signed by this frontend with any of its secrets"
        self._note("cookie", said)
        return key

    def _session(self, key: str, request: ReadRequest) -> Session | Wait | None:
        found = super()._session(key, request)
        if isinstance(found, Session):
            self._note("session", f"{public_id(key)} is live")
        elif found is None:
            self._note("session", "there is no live one of this frontend")
        return found

    def _require_step_up(self, asked: StepUp, session: Session) -> None:
        rules = (("step-up", "the login is strong and recent enough", (StepUpRequired,)),)
        try:
            super()._require_step_up(asked, session)
        except BffError as error:
            self._note_all(rules, error)
            raise
        self._note_all(rules)

    def _token_for(
        self, route: Route, session: Session | None, known: Known | None
    ) -> Tokens | Needs | None:
        found = super()._token_for(route, session, known)
        if isinstance(found, Needs):
            return found
        if found is None:
            said = "none is sent"
        elif route.token is TokenKind.CLIENT:
            said = "the gateway's own"
        elif route.token is not TokenKind.USER:
            said = "one in exchange for the user's"
        elif known is not None and known.refreshed:
            said = "the user's, once it is refreshed"
        else:
            said = "the user's"
        self._note("token", said)
        return found

    def _verdict(
        self, rule: Introspect, provider: str, token: Tokens, known: Known | None
    ) -> bool | None:
        is_active = super()._verdict(rule, provider, token, known)
        if is_active:
            self._note("introspection", "the OP says that the token counts")
        elif is_active is not None:
            error = TokenInactive()
            self.steps.append(Step("introspection", error.title, error))
        return is_active

    # --- notes

    def _note_path(self, request: ReadRequest, place: str) -> None:
        doubt = request.target.doubt
        self._note("path", f"has a second reading ({doubt}) that may pass" if doubt else "is plain")
        self._note("place", place)

    def _note_all(self, rules: Sequence[_Rule], error: BffError | None = None) -> None:
        """Of rules that are asked in this order; those before the one that refused have passed."""
        for rule, said, refusals in rules:
            if error is not None and isinstance(error, refusals):
                self.steps.append(Step(rule, error.title, error))
                return
            self._note(rule, said)

    def _note(self, rule: str, said: str) -> None:
        # The question whether an answer may delete the cookie reads it once more.
        if all(step.rule != rule for step in self.steps):
            self.steps.append(Step(rule, said))
