"""The OP's memory: the only place where its records are created, found, spent and forgotten.

In memory only; a restart forgets all of it. Refresh-token rotation with reuse detection is decided
here (RFC 9700 section 4.14.2), and so is the single use of codes (RFC 6749 section 4.1.2).
"""

import logging
import secrets
from collections.abc import Iterable, Mapping

from bff.clock import Clock
from spa_demo.op.clients import Clients
from spa_demo.op.counters import Counters
from spa_demo.op.records import (
    AuthorizationCode,
    DeviceCode,
    Interaction,
    IssuedToken,
    OpSession,
    TokenFamily,
)
from spa_demo.op.settings import OpSettings, User

log = logging.getLogger("spa_demo.op")

SWEEP_SECONDS = 30


class OpState:
    """All records of one OP, its clients among them, and its counters."""

    def __init__(self, settings: OpSettings, clock: Clock) -> None:
        self.counters = Counters()
        self.clients = Clients(settings.clients)
        self._settings = settings
        self._clock = clock
        self._sessions: dict[str, OpSession] = {}
        self._interactions: dict[str, Interaction] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._devices: dict[str, DeviceCode] = {}
        self._families: dict[str, TokenFamily] = {}
        self._tokens: dict[str, IssuedToken] = {}
        self._next_sweep_at = 0.0

    # --- sessions

    def open_session(self, user: User, acr: str) -> OpSession:
        self._forget_expired()
        now = self._clock.now()
        expires_at = now + self._settings.session_seconds
        session = OpSession(_secret(), new_name(), user, now, acr, expires_at)
        self._sessions[session.cookie] = session
        return session

    def renew_session(self, session: OpSession, acr: str) -> None:
        """The same user has logged in again: new time, new strength, new cookie, same `sid`."""
        self._sessions.pop(session.cookie, None)
        session.cookie, session.acr, session.auth_time = _secret(), acr, self._clock.now()
        session.expires_at = session.auth_time + self._settings.session_seconds
        self._sessions[session.cookie] = session

    def session(self, cookie: str | None) -> OpSession | None:
        session = self._sessions.get(cookie or "")
        return session if session and self._clock.now() < session.expires_at else None

    def session_by_sid(self, sid: str | None) -> OpSession | None:
        return next((s for s in self.sessions() if s.sid == sid), None)

    def sessions(self, sub: str | None = None) -> list[OpSession]:
        """The live sessions, of one user or of all."""
        now = self._clock.now()
        live = (s for s in self._sessions.values() if now < s.expires_at)
        return [s for s in live if sub is None or s.user.sub == sub]

    def close_session(self, session: OpSession) -> None:
        """Forget a session and revoke its grants, but for those of offline access."""
        self._sessions.pop(session.cookie, None)
        for family in self._families.values():
            if family.sid == session.sid and "offline_access" not in family.scope.split():
                self.revoke_family(family, "session ended")

    # --- interactions

    def begin_interaction(self, parameters: Mapping[str, str], browser: str) -> Interaction:
        self._forget_expired()
        expires_at = self._clock.now() + self._settings.interaction_seconds
        interaction = Interaction(_secret(), browser, dict(parameters), expires_at)
        self._interactions[interaction.id] = interaction
        return interaction

    def interaction(self, interaction_id: str, browser: str | None) -> Interaction | None:
        """The interaction, for the browser that began it only."""
        found = self._interactions.get(interaction_id)
        if found is None or found.browser != browser or self._clock.now() >= found.expires_at:
            return None
        return found

    def finish_interaction(self, interaction: Interaction) -> None:
        self._interactions.pop(interaction.id, None)

    # --- codes

    def keep_code(self, code: AuthorizationCode) -> None:
        self._forget_expired()
        self._codes[code.value] = code

    def code_to_redeem(self, value: str, client_id: str) -> AuthorizationCode | None:
        """The code if this client may redeem it now. A second use revokes what the first gave."""
        code = self._codes.get(value)
        if code is None or code.client_id != client_id:
            return None
        if code.family is not None:
            self.counters.code_reuse_detected += 1
            self.revoke_family(code.family, "code reuse")
            return None
        is_live = self._clock.now() < code.expires_at and self.session(code.session.cookie)
        return code if is_live else None

    # --- device codes

    def keep_device(self, code: DeviceCode) -> None:
        self._forget_expired()
        self._devices[code.value] = code

    def device(self, value: str) -> DeviceCode | None:
        return self._devices.get(value)

    def device_by_user_code(self, user_code: str) -> DeviceCode | None:
        """Users may leave out the hyphen, and write small letters (RFC 8628 section 6.1)."""
        wanted = _letters(user_code)
        waiting = self._devices.values()
        return next((code for code in waiting if _letters(code.user_code) == wanted), None)

    def devices(self) -> list[DeviceCode]:
        """All that have not been forgotten."""
        return [*self._devices.values()]

    def forget_devices(self) -> None:
        self._devices.clear()

    # --- token families and tokens

    def open_family(self, family: TokenFamily) -> TokenFamily:
        self._forget_expired()
        self._families[family.id] = family
        return family

    def keep_token(self, key: str, token: IssuedToken) -> None:
        """Remember a token: refresh tokens under their value, access tokens under their jti."""
        self._tokens[key] = token
        if token.kind == "refresh_token":
            token.family.refresh_expires_at = token.expires_at

    def token(self, key: str) -> IssuedToken | None:
        return self._tokens.get(key)

    def refresh_token_to_spend(self, value: str) -> IssuedToken | None:
        """The refresh token if it is valid. A spent one may be stolen and revokes its family."""
        token = self._tokens.get(value)
        if token is None or token.kind != "refresh_token" or token.is_expired():
            return None
        if token.spent:
            self._note_reuse(token.family)
        return None if token.is_revoked() else token

    def _note_reuse(self, family: TokenFamily) -> None:
        self.counters.reuse_detected += 1
        self.counters.reuse_by_family[family.id] += 1
        log.warning("refresh token reuse detected: family %s of %s", family.id, family.sub)
        self.revoke_family(family, "refresh token reuse")

    def note_refresh(self, spent: IssuedToken) -> None:
        """Mark the old token as spent and count the refresh."""
        spent.spent = True
        family = spent.family
        self.counters.refreshes_by_family[family.id] += 1
        self.counters.refreshes_by_sub[family.sub] += 1
        if family.sid:
            self.counters.refreshes_by_sid[family.sid] += 1

    def revoke_family(self, family: TokenFamily, because: str) -> None:
        if family.revoked_because is None:
            family.revoked_because = because
            log.info("token family %s of %s revoked: %s", family.id, family.sub, because)

    def revoke_user(self, sub: str, because: str) -> None:
        for family in self._families.values():
            if family.user and family.sub == sub:
                self.revoke_family(family, because)

    def revoke_client(self, client_id: str, because: str) -> None:
        for family in self._families.values():
            if family.client_id == client_id:
                self.revoke_family(family, because)

    def revoke_access_tokens(self) -> None:
        """All of them; the grants stay."""
        for token in self._tokens.values():
            token.revoked = token.revoked or token.kind == "access_token"

    def active_families(self) -> list[TokenFamily]:
        """Families that could still be refreshed."""
        now = self._clock.now()
        families: Iterable[TokenFamily] = self._families.values()
        return [f for f in families if f.revoked_because is None and now < f.refresh_expires_at]

    def _forget_expired(self) -> None:
        """Drop expired records, once an interval. Spent tokens and codes stay until they expire."""
        now = self._clock.now()
        if now < self._next_sweep_at:
            return
        self._next_sweep_at = now + SWEEP_SECONDS
        self._sessions = {k: s for k, s in self._sessions.items() if now < s.expires_at}
        self._interactions = {k: i for k, i in self._interactions.items() if now < i.expires_at}
        self._devices = {k: d for k, d in self._devices.items() if now < d.expires_at}
        self._tokens = {k: t for k, t in self._tokens.items() if now < t.expires_at}
        kept = now - self._settings.refresh_token_seconds
        self._codes = {k: c for k, c in self._codes.items() if kept < c.expires_at}
        in_use = {t.family.id for t in self._tokens.values()}
        self._families = {k: f for k, f in self._families.items() if k in in_use}


def _letters(user_code: str) -> str:
    return "".join(filter(str.isalpha, user_code)).upper()


def _secret() -> str:
    return secrets.token_urlsafe(32)


def new_name() -> str:
    return secrets.token_hex(8)
