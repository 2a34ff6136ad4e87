"""Which issuers a provider's tokens may be from: one, or one for each tenant of a multi-tenant OP.

The metadata that such an OP (Entra ID) publishes for all its tenants has a template for an issuer,
`https://op.example/{tenantid}/v2.0`, and an ID token names the issuer of its own tenant, which is
also in its claim `tid`. OpenID Connect Discovery 1.0 section 4.3 knows no such template: here its
place is filled by a tenant that is allowed, and the result is compared as a string.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from bff.oidc.provider.op_text import differs, quoted

TENANT = "{tenantid}"
TENANT_CLAIM = "tid"

# RFC 9562 section 4, in the one spelling that an issuer has.
_TENANT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_tenant_id(value: object) -> TypeGuard[str]:
    """Whether this is a GUID in lower case, which can't change the meaning of an issuer."""
    return isinstance(value, str) and _TENANT_ID.fullmatch(value) is not None


def require_tenant_ids(tenants: Collection[str]) -> Collection[str]:
    """Raises: ValueError, with the rest of a sentence about them."""
    for tenant in tenants:
        if not is_tenant_id(tenant):
            raise ValueError("must be tenant ids: GUIDs in lower case")
    return tenants


def require_template(issuer: str) -> str:
    """An issuer, in which `{tenantid}` may stand for one whole segment of the path. Raises:
    ValueError, with the rest of a sentence about it."""
    before, mark, after = issuer.partition(TENANT)
    is_segment = before.count("/") > 2 and before.endswith("/") and after[:1] in ("", "/")
    if any(brace in before + after for brace in "{}") or (mark and not is_segment):
        raise ValueError(f"may hold {TENANT} once, as a segment of its path, and no other braces")
    return issuer


@dataclass(frozen=True, slots=True)
class TrustedIssuers:
    """`issuer` as in the metadata. `tenants` are those that may log in where it is a template,
    unless `any_tenant` may."""

    issuer: str
    tenants: frozenset[str] = frozenset()
    any_tenant: bool = False

    def includes(self, iss: object) -> bool:
        """Whether this is the issuer, or that of a tenant that may log in."""
        return self.why_not(iss) is None

    def why_not(self, iss: object) -> str | None:
        """For the log; None when it is included."""
        before, mark, after = self.issuer.partition(TENANT)
        if not mark:
            return None if iss == self.issuer else differs(iss, self.issuer)
        if not isinstance(iss, str) or not (iss.startswith(before) and iss.endswith(after)):
            return differs(iss, self.issuer)
        tenant = iss[len(before) : len(iss) - len(after)]
        # Both parts fit, but must not overlap, and what stands between must be a tenant.
        if before + tenant + after != iss or not is_tenant_id(tenant):
            return differs(iss, self.issuer)
        is_allowed = self.any_tenant or tenant in self.tenants
        return None if is_allowed else f"its tenant {quoted(tenant)} is not in issuer_tenants"

    def why_not_of_user(self, claims: Mapping[str, object]) -> str | None:
        """The same for the issuer of an ID token, which names its tenant a second time."""
        if TENANT not in self.issuer:
            return self.why_not(claims.get("iss"))
        tenant = claims.get(TENANT_CLAIM)
        if not is_tenant_id(tenant):
            return f"{TENANT_CLAIM} is no tenant id: {quoted(tenant)}"
        own = self.issuer.replace(TENANT, tenant)
        return differs(claims.get("iss"), own) if claims.get("iss") != own else self.why_not(own)

    @property
    def is_template(self) -> bool:
        return TENANT in self.issuer

    @property
    def known(self) -> tuple[str, ...]:
        """Those that can be told without a token; none where any tenant may log in."""
        if TENANT not in self.issuer:
            return (self.issuer,)
        return tuple(self.issuer.replace(TENANT, one) for one in sorted(self.tenants))
