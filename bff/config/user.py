"""[user]: what `/bff/user` tells the browser."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bff.config.section import Section
from bff.config.texts import NonEmpty

# `bff` is the gateway's own member of the answer; the others belong to the protocol, and a script
# has no use for them but a wrong one.
_NOT_FOR_THE_BROWSER = frozenset({"bff", "at_hash", "c_hash", "s_hash", "nonce", "sid"})


def refuse_internal(claim: str) -> str:
    if claim in _NOT_FOR_THE_BROWSER:
        raise ValueError("is not for the browser")
    return claim


class UserSettings(Section):
    claims: tuple[Annotated[NonEmpty, AfterValidator(refuse_internal)], ...] = Field(
        default=("name", "email", "picture"),
        description='Claims of the user that the browser may see, beside "sub".',
    )
    anonymous: Literal["401", "null"] = Field(
        default="401",
        description='What /bff/user answers without a session: "401", or "null" for '
        "200 with the JSON value null.",
    )
