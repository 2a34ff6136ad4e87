"""An OP whose metadata is for all its tenants, as Entra ID's is: which tenants' users get in."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from bff.clock import ManualClock
from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from tests.parts.configuration import Ports, settings_from
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp, signing_key
from tests.security.kept_connection import Reply
from tests.security.scripted_installation import Visitor, code_of
from tests.security.test_provider_keys import op, provider_toml, refused, visiting

__all__ = ["op"]  # a fixture

OURS = "11111111-aaaa-4bbb-8ccc-111111111111"
PARTNER = "22222222-aaaa-4bbb-8ccc-222222222222"
FOREIGN = "33333333-aaaa-4bbb-8ccc-333333333333"
TEMPLATE = "https://id.example/{tenantid}/v2.0"
DISCOVERY = 'discovery_url = "https://id.example/organizations/.well-known/openid-configuration"'
AT_TEMPLATE = f'issuer = "{TEMPLATE}"\n{DISCOVERY}'
LISTED = f'issuer_tenants = ["{OURS}"]'
ANY = "allow_any_issuer_tenant = true"
WITHOUT_ISS = "allow_frontchannel_logout_without_iss = true"


def issuer_at(op: ScriptedOp, tenant: str) -> str:
    return f"{op.issuer}/{tenant}/v2.0"


@dataclass
class AtTenants:
    """A browser, at a gateway whose provider's issuer is a template."""

    op: ScriptedOp
    visitor: Visitor

    def issue(self, tenant: object, **changes: object) -> None:
        """From now on ID tokens are from this tenant, but for the changes."""
        self.op.id_token_changes = {
            "iss": issuer_at(self.op, f"{tenant}"),
            "tid": tenant,
            **changes,
        }

    async def log_in(self, iss: str = "") -> Reply:
        answer = {"code": "the-code", "iss": iss} if iss else {"code": "the-code"}
        return await self.visitor.come_back(await self.visitor.start(), **answer)

    async def is_in(self) -> bool:
        return (await self.visitor.get("/bff/user")).status == 200

    async def tell(self, tenant: str, **changes: object) -> int:
        """By a logout token."""
        now = int(self.op.clock.now())
        claims = {
            "iss": issuer_at(self.op, tenant),
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": f"{changes}",
            "sub": self.op.sub,
            "events": {LOGOUT_EVENT: {}},
            **changes,
        }
        return (await self.visitor.tell(self.op.keys[0].sign(claims))).status


@asynccontextmanager
async def at_tenants(
    op: ScriptedOp, clock: ManualClock, *more: str, tenants: Sequence[str] = (OURS, PARTNER)
) -> AsyncIterator[AtTenants]:
    """`more` are keys of the provider; without `tenants` any tenant may log in."""
    op.metadata_changes["issuer"] = issuer_at(op, "{tenantid}")
    listed = f"issuer_tenants = {list(tenants)}" if tenants else "allow_any_issuer_tenant = true"
    keys = [
        f'issuer = "{issuer_at(op, "{tenantid}")}"',
        f'discovery_url = "{op.issuer}/.well-known/openid-configuration"',
        listed,
        *more,
    ]
    async with AsyncExitStack() as stack:
        visitor = await stack.enter_async_context(visiting(op, clock, "\n".join(keys)))
        yield AtTenants(op, visitor)


@pytest.mark.rule("ID-17")
async def test_users_of_the_listed_tenants_log_in_and_of_no_other(
    op: ScriptedOp, clock: ManualClock
) -> None:
    async with at_tenants(op, clock) as there:
        for tenant, is_allowed in ((OURS, True), (FOREIGN, False), (PARTNER, True)):
            there.visitor.cookies.clear()
            there.issue(tenant)
            reply = await there.log_in()
            assert (reply.status == 302) == is_allowed, (tenant, reply)
            assert await there.is_in() == is_allowed
    there.visitor.cookies.clear()
    async with at_tenants(op, clock, tenants=()) as there:
        there.issue(FOREIGN)
        assert (await there.log_in()).status == 302


@pytest.mark.rule("ID-17")
async def test_a_token_says_twice_and_alike_which_tenant_it_is_from(
    op: ScriptedOp, clock: ManualClock
) -> None:
    literal = issuer_at(op, "{tenantid}")
    for tenants in ((OURS, PARTNER), ()):  # also where any tenant may log in
        async with at_tenants(op, clock, tenants=tenants) as there:
            wrong: dict[str, dict[str, object]] = {
                "no tid": {"tid": None},
                "another tid": {"tid": PARTNER},
                "tid that is no text": {"tid": [OURS]},
                "capitals": {"tid": OURS.upper(), "iss": issuer_at(op, OURS.upper())},
                "the template": {"iss": literal, "tid": OURS},
                "the template twice": {"iss": literal, "tid": "{tenantid}"},
                "a slash": {"tid": f"{OURS}/x", "iss": issuer_at(op, f"{OURS}/x")},
                "a line": {"tid": f"{OURS}\n", "iss": issuer_at(op, f"{OURS}\n")},
                "a path": {"tid": f"../{OURS}", "iss": issuer_at(op, f"../{OURS}")},
                "empty": {"tid": "", "iss": issuer_at(op, "")},
                "another OP": {"iss": f"https://evil.example/{OURS}/v2.0"},
                "another end": {"iss": f"{op.issuer}/{OURS}/v1.0"},
                "more behind": {"iss": f"{issuer_at(op, OURS)}/"},
                "no iss": {"iss": None},
            }
            for what, changes in wrong.items():
                there.issue(OURS, **changes)
                reply = await there.log_in()
                assert (reply.status, code_of(reply)) == (502, "id_token_invalid"), (what, reply)
            assert not await there.is_in()


@pytest.mark.rule("ID-17", "AZ-07")
async def test_the_issuer_of_the_answer_is_the_users(op: ScriptedOp, clock: ManualClock) -> None:
    """RFC 9207 section 2.4: of an allowed tenant before the code is spent, and of the same one."""
    async with at_tenants(op, clock) as there:
        there.issue(OURS)
        for iss in (issuer_at(op, FOREIGN), issuer_at(op, "{tenantid}"), op.issuer):
            assert code_of(await there.log_in(iss)) == "login_issuer_mismatch", iss
        assert op.count("token") == 0
        assert code_of(await there.log_in(issuer_at(op, PARTNER))) == "login_issuer_mismatch"
        assert not await there.is_in()
        assert (await there.log_in(issuer_at(op, OURS))).status == 302


@pytest.mark.rule("ID-17")
async def test_a_key_that_names_its_issuer_signs_for_no_other(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """Entra ID publishes the keys of all tenants and those of some of them in one document."""
    first, second = signing_key(kid="all"), signing_key(kid="partner", number=2)
    keys = [
        first.jwk(issuer=issuer_at(op, "{tenantid}")),
        second.jwk(issuer=issuer_at(op, PARTNER)),
    ]
    op.answers["jwks"] = Answer({"keys": keys})
    async with at_tenants(op, clock) as there:
        for key, tenant, is_good in (
            (first, OURS, True),
            (second, PARTNER, True),
            (second, OURS, False),
        ):
            op.keys = [key]
            there.issue(tenant)
            reply = await there.log_in()
            assert (reply.status == 302) == is_good, (key.kid, tenant, reply)
        for changes in ({"tid": None}, {"tid": OURS, "iss": issuer_at(op, "{tenantid}")}):
            op.keys = [first]
            there.issue(OURS, **changes)
            assert (await there.log_in()).status == 502


@pytest.mark.rule("ID-17")
async def test_a_key_of_another_issuer_is_none_for_a_single_tenant_either(
    op: ScriptedOp, clock: ManualClock
) -> None:
    key = signing_key()
    for issuer, is_good in ((op.issuer, True), (f"{op.issuer}/other", False), (7, False)):
        op.answers["jwks"] = Answer({"keys": [key.jwk(issuer=issuer)]})
        async with visiting(op, clock, f'issuer = "{op.issuer}"') as visitor:
            assert ((await visitor.log_in()).status == 302) == is_good, issuer


@pytest.mark.rule("ID-17")
async def test_a_refresh_stays_in_the_tenant(op: ScriptedOp, clock: ManualClock) -> None:
    async with at_tenants(op, clock) as there:
        for tenant, is_kept in ((OURS, True), (PARTNER, False)):
            there.issue(OURS)
            assert (await there.log_in()).status == 302
            there.issue(tenant)
            refreshes = op.count("token")
            clock.advance(61)
            assert (await there.visitor.get("/api/x")).status == (200 if is_kept else 401)
            assert op.count("token") == refreshes + 1
            assert await there.is_in() == is_kept


@pytest.mark.rule("ID-17")
async def test_a_logout_token_ends_sessions_of_its_tenant_only(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """`sub` is unique within an issuer: another tenant's user may have the same."""
    async with at_tenants(op, clock) as there:
        there.issue(OURS)
        assert (await there.log_in()).status == 302
        assert await there.tell(FOREIGN) == 400
        assert await there.tell("{tenantid}") == 400
        assert await there.tell(OURS, tid=PARTNER) == 400
        assert await there.tell(PARTNER) == 200
        assert await there.is_in()
        assert await there.tell(OURS, tid=OURS) == 200
        assert not await there.is_in()


@pytest.mark.rule("ID-17", "LO-16")
async def test_a_frame_without_iss_finds_the_session_in_whichever_tenant(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """Entra ID's front-channel logout has `sid` alone."""
    async with at_tenants(op, clock, 'preset = "entra"', "frontchannel_logout = true") as there:
        for named in ({}, {"iss": issuer_at(op, PARTNER)}):
            there.issue(PARTNER, sid="s1")
            assert (await there.log_in()).status == 302
            for iss, status in ((FOREIGN, 400), (OURS, 200)):
                query = urlencode({"sid": "s1", "iss": issuer_at(op, iss)})
                reply = await there.visitor.get(f"/bff/frontchannel-logout?{query}")
                assert reply.status == status
                assert await there.is_in()
            query = urlencode({"sid": "s1", **named})
            await there.visitor.get(f"/bff/frontchannel-logout?{query}")
            assert not await there.is_in()


@pytest.mark.rule("ID-17")
@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ([AT_TEMPLATE], "issuer_tenants"),
        ([f'issuer = "{TEMPLATE}"', LISTED], "discovery_url"),
        ([AT_TEMPLATE, 'issuer_tenants = ["acme"]'], "issuer_tenants"),
        (
            [AT_TEMPLATE, LISTED.upper().replace("ISSUER_TENANTS", "issuer_tenants")],
            "issuer_tenants",
        ),
        ([AT_TEMPLATE, LISTED, ANY], "issuer_tenants"),
        (['issuer = "https://id.example"', LISTED], "issuer_tenants"),
        (['issuer = "https://id.example"', ANY], "issuer_tenants"),
        (
            [AT_TEMPLATE, ANY, "frontchannel_logout = true", WITHOUT_ISS],
            "allow_frontchannel_logout_without_iss",
        ),
        *(
            ([f'issuer = "{wrong}"', DISCOVERY, LISTED], "issuer")
            for wrong in (
                "https://{tenantid}.id.example/v2.0",
                "https://id.example/x{tenantid}/v2.0",
                "https://id.example/{tenantid}x",
                "https://id.example/{tenantid}/{tenantid}",
                "https://id.example/{other}",
            )
        ),
    ],
)
def test_which_tenants_may_log_in_is_said_in_so_many_words(keys: list[str], wrong: str) -> None:
    assert refused("\n".join(keys)) == [f"oidc.{wrong}"]


@pytest.mark.parametrize("after", ["", "/v2.0"])
def test_the_tenant_may_be_the_end_of_the_issuer(after: str) -> None:
    keys = f'issuer = "https://id.example/{{tenantid}}{after}"\n{DISCOVERY}\n'
    toml = provider_toml(Ports(1, 2, 0, 3), f'{keys}issuer_tenants = ["{OURS}"]')
    settings: Any = settings_from(toml, {"BFF_SERVER__PUBLIC_URL": "https://app.example"})
    known = settings.providers["default"].issuers.known
    assert known == (f"https://id.example/{OURS}{after}",)
