"""Which user has logged in: the identity that a login ends with, what a refresh gives anew, and
whether user and organization are those that were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bff.errors import OrganizationMismatch, StepUpOtherUser
from bff.model import LoginTransaction, Session, Tokens
from bff.oidc.jwt.id_token import EndUser


@dataclass(frozen=True, slots=True)
class Identity:
    """A finished login. `claims` are those of the ID token, with those of UserInfo it lacks.
    `organization`, `resources` and `asked_details` (authorization details beside the provider's
    own, JSON text) are those that the login asked for."""

    provider: str
    issuer: str
    sub: str
    sid: str | None
    acr: str | None
    auth_time: int | None
    claims: Mapping[str, object] = field(repr=False)
    tokens: Tokens
    organization: str | None = None
    resources: tuple[str, ...] = ()
    asked_details: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A finished refresh. `claims` are those of a new ID token; None when the OP sent none that
    can be used, and then `tokens.id_token` is still the old one."""

    tokens: Tokens
    claims: Mapping[str, object] | None = field(repr=False)
    acr: str | None
    auth_time: int | None


@dataclass(frozen=True, slots=True)
class Organization:
    """How a login for one organization is asked for, and which claim of the ID token proves it."""

    parameter: str
    claim: str

    def is_named(self, wanted: str, claims: Mapping[str, object]) -> bool:
        """Whether the claims of an ID token name the organization `wanted`."""
        said = claims.get(self.claim)
        # One, or several that the user belongs to: a list, or an object by their names.
        is_among = isinstance(said, list | dict) and wanted in said
        return said == wanted or is_among


def require_wanted(
    user: EndUser, transaction: LoginTransaction, organization: Organization | None
) -> None:
    """That the user of the ID token is the user that the login was begun for.

    Raises:
        StepUpOtherUser: it is another user than the one whose session was to be stepped up.
        OrganizationMismatch: the ID token does not name the organization that was asked for.
    """
    whose = (transaction.user_issuer, transaction.user_sub)
    if transaction.is_step_up and whose != (user.issuer, user.sub):
        raise StepUpOtherUser
    wanted = transaction.organization
    if wanted is None:
        return
    if organization is None or not organization.is_named(wanted, user.claims):
        raise OrganizationMismatch("the claim is missing or names another")


def is_for_another(
    session: Session, claims: Mapping[str, object], organization: Organization | None
) -> bool:
    """Whether a refreshed ID token, which may leave the claim out, names another organization than
    the login was for."""
    wanted = session.organization
    if wanted is None or organization is None or organization.claim not in claims:
        return False
    return not organization.is_named(wanted, claims)
