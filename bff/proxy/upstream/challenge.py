"""What an API asks for that refuses a token because its user's login was too weak or too long ago,
or the proof beside it for want of a nonce: pure.

Read strictly: a challenge with a second reading, or with a value that no login may ask for, is none
of these, and the API's 401 is passed on as it came.

RFC 9110 sections 5.6 and 11 (challenges and their parameters), RFC 6750 section 3, RFC 9470
section 3, RFC 9449 sections 7.1 and 9.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bff.gate.head import Field
from bff.oidc.step_up import StepUp, read_acr_values, read_max_age

MAX_CHALLENGE_BYTES = 4096
ERROR = b"insufficient_user_authentication"
NONCE_ERROR = b"use_dpop_nonce"
NONCE_FIELD = b"dpop-nonce"
NOTHING = StepUp()

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*+)"'
_PARAMETER = re.compile(rb"(%b)[ \t]*+=[ \t]*+(?:(%b)|%b)" % (_TOKEN, _TOKEN, _QUOTED))
_SCHEME = re.compile(rb"(%b)(?: ++|(?=[ \t]*+(?:,|\Z)))" % _TOKEN)
_TOKEN68 = re.compile(rb"[A-Za-z0-9\-._~+/]++=*+")
_BETWEEN = re.compile(rb"[ \t]*+(?:,[ \t]*+|\Z)")
_ESCAPED = re.compile(rb"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """`scheme` and the names of `parameters` are in lower case; a token68 is left out."""

    scheme: bytes
    parameters: Mapping[bytes, bytes] = field(repr=False)


def step_up_asked(fields: Iterable[Field]) -> StepUp | None:
    """What a 401 with these fields asks of the user's login; None where it asks nothing of it."""
    try:
        found = [one.parameters for one in _challenges(fields, ERROR) if _is_step_up(one)]
        asked = [_read(parameters) for parameters in found]
    except ValueError:
        return None
    is_clear = len(set(asked)) == 1  # an API may say the same for each scheme that it knows
    return asked[0] if is_clear and asked[0] != NOTHING else None


def wants_nonce(fields: Iterable[Field]) -> bool:
    """Whether a 401 with these fields says that the proof of a key lacks the server's nonce."""
    try:
        found = _challenges(fields, NONCE_ERROR)
    except ValueError:
        return False
    return any(
        one.scheme == b"dpop" and one.parameters.get(b"error") == NONCE_ERROR for one in found
    )


def _challenges(fields: Iterable[Field], error: bytes) -> list[Challenge]:
    """All of them, if one has this error. Raises: ValueError."""
    text = b", ".join(value for name, value in fields if name.lower() == b"www-authenticate")
    if error not in text or len(text) > MAX_CHALLENGE_BYTES:
        return []
    return read_challenges(text)


def read_challenges(text: bytes) -> list[Challenge]:
    """Those of a field's value.

    Raises:
        ValueError: it is no list of challenges, or one has a parameter twice.
    """
    found: list[tuple[bytes, dict[bytes, bytes]]] = []
    at = 0
    while at < len(text):
        begun = None if _PARAMETER.match(text, at) else _SCHEME.match(text, at)
        if begun is not None:
            found.append((begun[1].lower(), {}))
            at = begun.end()
        parameter = _PARAMETER.match(text, at)
        if parameter is not None and found:
            _add(found[-1][1], parameter)
            at = parameter.end()
        elif begun is not None:
            credentials = _TOKEN68.match(text, at)
            at = credentials.end() if credentials is not None else at
        end = _BETWEEN.match(text, at)
        if end is None or (begun is None and parameter is None and end.end() == at):
            raise ValueError("no list of challenges")
        at = end.end()
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _add(parameters: dict[bytes, bytes], found: re.Match[bytes]) -> None:
    name, token, quoted = found.groups()
    if name.lower() in parameters:  # RFC 9110 section 11.2
        raise ValueError("a parameter repeats")
    parameters[name.lower()] = token if token is not None else _ESCAPED.sub(rb"\1", quoted)


def _is_step_up(challenge: Challenge) -> bool:
    is_of_token = challenge.scheme in (b"bearer", b"dpop")
    return is_of_token and challenge.parameters.get(b"error") == ERROR


def _read(parameters: Mapping[bytes, bytes]) -> StepUp:
    acr_values, max_age = parameters.get(b"acr_values"), parameters.get(b"max_age")
    return StepUp(
        read_acr_values(acr_values.decode("ascii")) if acr_values is not None else (),
        read_max_age(max_age.decode("ascii")) if max_age is not None else None,
    )
