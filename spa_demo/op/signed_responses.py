"""Signed authorization responses (JARM): the parameters of an answer, or of an error, as claims of
a JWT for the client that asked.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from bff.clock import Clock
from spa_demo.op.keys import SigningKeys
from spa_demo.op.settings import SIGNED_RESPONSES, OpSettings

SECONDS = 60


class SignedResponses:
    """Those of one OP, which signs them as it does ID tokens."""

    def __init__(self, settings: OpSettings, keys: SigningKeys, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock

    def are_asked_for(self, parameters: Mapping[str, str]) -> bool:
        """By an authorization request with these parameters."""
        mode = parameters.get("response_mode")
        return mode == SIGNED_RESPONSES and mode in self._settings.response_modes

    def signed(self, location: str, redirect_uri: str, client_id: str) -> str:
        """The redirect with one parameter in the place of those that the answer has added to the
        redirect URI (JARM section 2.3.1)."""
        answer = dict(parse_qsl(location.removeprefix(redirect_uri).lstrip("?&")))
        ends = int(self._clock.now()) + SECONDS
        claims = {**answer, "iss": self._settings.issuer, "aud": client_id, "exp": ends}
        response = urlencode({"response": self._keys.sign(claims, typ="JWT")})
        return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{response}"
