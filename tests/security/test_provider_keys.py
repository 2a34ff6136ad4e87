"""What a provider's keys change: where the OP is reached, and what a login may carry to it. Who the
OP is, and what is proven by its tokens, stays the same."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from html import unescape
from pathlib import Path

import pytest

from bff.clock import ManualClock
from bff.config import ConfigError
from bff.errors import OpMetadataRefused
from bff.oidc.provider.metadata import process_metadata
from tests.parts.certificates import self_signed, server_context
from tests.parts.configuration import Ports, gateway_toml, settings_from
from tests.parts.raw_upstream import raw_upstream
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.security.kept_connection import kept_connection
from tests.security.scripted_installation import LIMITS, ORIGIN, Visitor, code_of, location_of
from tests.security.two_providers import sent_to_op

ELSEWHERE = "https://id.example.com"
NAVIGATION = ("Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")


def provider_toml(ports: Ports, keys: str) -> str:
    table = f'[oidc]\nclient_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n{keys}\n'
    before, _, rest = gateway_toml(ports, extra=LIMITS).partition("[oidc]")
    return f"{before}{table}[session]{rest.partition('[session]')[2]}"


@asynccontextmanager
async def visiting(op: ScriptedOp, clock: ManualClock, keys: str) -> AsyncIterator[Visitor]:
    """A browser at a gateway whose [oidc] has these keys."""
    async with raw_upstream() as upstream:
        ports = Ports(free_port(), free_port(), 0, upstream.port)
        environ = {"BFF_SERVER__PUBLIC_URL": ORIGIN}
        toml = provider_toml(ports, keys)
        async with (
            running_gateway(toml, clock, environ),
            kept_connection(ports.gateway) as connection,
        ):
            yield Visitor(connection, op)


def refused(keys: str) -> list[str]:
    """The keys with a problem."""
    with pytest.raises(ConfigError) as caught:
        settings_from(provider_toml(Ports(1, 2, 0, 3), keys), {"BFF_SERVER__PUBLIC_URL": ORIGIN})
    return [problem.key for problem in caught.value.problems]


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[ScriptedOp]:
    provider = await ScriptedOp(clock).start()
    yield provider
    await provider.close()


@pytest.mark.rule("AZ-17")
async def test_metadata_may_lie_elsewhere_and_names_the_issuer_all_the_same(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """As in a compose network: fetched inside of it, while tokens carry the public issuer."""
    op.metadata_changes = {"issuer": ELSEWHERE}
    op.id_token_changes = {"iss": ELSEWHERE}
    host = op.issuer.removeprefix("http://")
    keys = f"""issuer = "{ELSEWHERE}"
discovery_url = "{op.issuer}/.well-known/openid-configuration"
allow_http_hosts = ["{host}"]"""
    async with visiting(op, clock, keys) as visitor:
        assert (await visitor.log_in()).status == 302
        op.id_token_changes = {"iss": op.issuer}
        assert code_of(await visitor.log_in()) == "id_token_invalid"
    op.metadata_changes = {"issuer": op.issuer}
    async with visiting(op, clock, keys) as visitor:
        assert code_of(await visitor.get("/bff/login")) == "op_metadata_refused"


@pytest.mark.rule("AZ-17")
async def test_http_is_for_the_hosts_that_are_named(op: ScriptedOp, clock: ManualClock) -> None:
    """An https issuer whose metadata leads to http is refused without them."""
    op.metadata_changes = {"issuer": ELSEWHERE}
    keys = f"""issuer = "{ELSEWHERE}"
discovery_url = "{op.issuer}/.well-known/openid-configuration\""""
    async with visiting(op, clock, keys) as visitor:
        assert code_of(await visitor.get("/bff/login")) == "op_metadata_refused"
    assert refused('issuer = "http://keycloak:8080/realms/a"') == ["oidc.issuer"]
    named = 'issuer = "http://keycloak:8080"\nallow_http_hosts = ["keycloak:80"]'
    assert refused(named) == ["oidc.issuer"]
    url = 'discovery_url = "http://keycloak:8080/d"'
    assert refused(f'issuer = "{ELSEWHERE}"\n{url}') == ["oidc.discovery_url"]
    by_hand = 'endpoints = { token = "http://keycloak:8080/t" }'
    assert refused(f'issuer = "{ELSEWHERE}"\n{by_hand}') == ["oidc.endpoints.token"]
    unknown = 'endpoints = { tokens = "https://id.example.com/t" }'
    assert refused(f'issuer = "{ELSEWHERE}"\n{unknown}') == ["oidc.endpoints.tokens"]


@pytest.mark.parametrize(
    ("endpoint", "is_taken"),
    [
        ("http://keycloak:8080/t", True),
        ("http://127.0.0.1:9090/sessions", False),
        ("http://localhost/t", False),
    ],
)
def test_an_op_of_a_private_network_leads_to_nothing_on_this_machine(
    endpoint: str, is_taken: bool
) -> None:
    """Its http is for the hosts that are named; loopback is for an issuer that is there."""
    issuer = "http://keycloak:8080"
    document = dict.fromkeys(("authorization_endpoint", "jwks_uri"), f"{issuer}/x")
    document |= {"issuer": issuer, "token_endpoint": endpoint}
    with nullcontext() if is_taken else pytest.raises(OpMetadataRefused):
        process_metadata(200, document, issuer=issuer, http_hosts=("keycloak:8080",))


async def test_an_endpoint_by_hand_takes_the_place_of_the_one_in_the_metadata(
    op: ScriptedOp, clock: ManualClock
) -> None:
    op.metadata_changes = {"authorization_endpoint": None, "token_endpoint": "http://a.invalid/"}
    keys = f"""issuer = "{op.issuer}"
endpoints = {{ authorization = "{op.issuer}/go", token = "{op.issuer}/token" }}"""
    async with visiting(op, clock, keys) as visitor:
        reply = await visitor.get("/bff/login")
        assert location_of(reply).startswith(f"{op.issuer}/go?")
        assert (await visitor.log_in()).status == 302


@pytest.mark.parametrize("from_environment", ["", "http://", "without a scheme"])
async def test_the_op_is_reached_by_a_proxy(
    op: ScriptedOp,
    clock: ManualClock,
    from_environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name of the OP means nothing here; and without the key the variables mean nothing."""
    issuer = "http://op.invalid"
    at_op = {name: url for name, url in op.metadata().items() if str(url).startswith(op.issuer)}
    op.metadata_changes = {name: str(url).replace(op.issuer, issuer) for name, url in at_op.items()}
    op.id_token_changes = {"iss": issuer}
    keys = f'issuer = "{issuer}"\nallow_http_hosts = ["op.invalid"]\n'
    if from_environment:
        has_scheme = from_environment == "http://"
        monkeypatch.setenv("http_proxy", op.issuer.removeprefix("" if has_scheme else "http://"))
    proxy = "environment" if from_environment else op.issuer
    async with visiting(op, clock, f'{keys}proxy = "{proxy}"') as visitor:
        assert (await visitor.log_in()).status == 302
    asked = op.count("discovery")
    async with visiting(op, clock, keys) as visitor:
        assert code_of(await visitor.get("/bff/login")) == "op_unavailable"
    assert op.count("discovery") == asked


@pytest.mark.parametrize(
    "wrong",
    [
        "proxy:3128",
        "ftp://proxy",
        "",
        "http://proxy/path",
        "http://proxy:abc",
        "http://proxy:99999",
        "http://proxy:0",
        "http://pro xy:3128",
        "http://proxy:3128?a",
        "http://:3128",
        "http://user@",
        "http://us er:secret@proxy:3128",
        "http://user:se/cret@proxy:3128",
    ],
)
def test_what_is_no_proxy_is_refused_without_telling_its_password(wrong: str) -> None:
    toml = provider_toml(Ports(1, 2, 0, 3), f'issuer = "{ELSEWHERE}"\nproxy = "{wrong}"')
    with pytest.raises(ConfigError) as caught:
        settings_from(toml, {"BFF_SERVER__PUBLIC_URL": ORIGIN})
    [problem] = caught.value.problems
    assert problem.key == "oidc.proxy"
    assert '"http://proxy:3128", or "environment"' in problem.message
    assert "cret" not in problem.message


@pytest.mark.parametrize("proxy", ["https://proxy:3128/", "http://user:a%20b@[::1]:3128"])
def test_a_proxy_may_want_credentials(proxy: str) -> None:
    keys = f'issuer = "{ELSEWHERE}"\nproxy = "{proxy}"'
    settings_from(provider_toml(Ports(1, 2, 0, 3), keys), {"BFF_SERVER__PUBLIC_URL": ORIGIN})


async def test_a_client_certificate_is_shown(clock: ManualClock, tmp_path: Path) -> None:
    """To an OP that asks for one; without it there is no connection."""
    server, key = self_signed(tmp_path, "localhost")
    tls = server_context(server, key, clients_ca=server)
    op = await ScriptedOp(clock).start(tls, "localhost")
    keys = f'issuer = "{op.issuer}"\nca_file = "{server}"\n'
    certificate = f'client_cert_file = "{server}"\nclient_key_file = "{key}"'
    try:
        async with visiting(op, clock, keys + certificate) as visitor:
            assert (await visitor.log_in()).status == 302
        async with visiting(op, clock, keys) as visitor:
            assert code_of(await visitor.get("/bff/login")) == "op_unavailable"
    finally:
        await op.close()
    alone = f'issuer = "{ELSEWHERE}"\nclient_cert_file = "{server}"'
    assert refused(alone) == ["oidc.client_cert_file"]


# --- what a login carries


async def test_a_login_passes_on_the_parameters_that_are_allowed(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """By name; every other one is ignored, as always."""
    keys = f'issuer = "{op.issuer}"\nlogin_params = ["kc_idp_hint"]'
    async with visiting(op, clock, keys) as visitor:
        _, sent = sent_to_op(await visitor.get("/bff/login?kc_idp_hint=a%20b&screen_hint=x"))
        assert sent["kc_idp_hint"] == "a b"
        assert "screen_hint" not in sent
        assert (await visitor.get("/bff/login?kc_idp_hint=a%0ab")).status == 400


@pytest.mark.parametrize(
    "name", ["state", "redirect_uri", "CODE_CHALLENGE", "returnUrl", "IDP", "org", "claims", "a b"]
)
def test_a_login_passes_on_no_parameter_of_the_protocol(name: str) -> None:
    """Nor one that the gateway reads itself, nor that of the organization."""
    assert refused(f'issuer = "{ELSEWHERE}"\nlogin_params = ["x", "{name}"]') == [
        "oidc.login_params[1]"
    ]
    organization = f'organization = {{ parameter = "o", claim = "c" }}\nissuer = "{ELSEWHERE}"'
    assert refused(f'{organization}\nlogin_params = ["O"]') == ["oidc.login_params[0]"]


@pytest.mark.rule("AZ-19")
@pytest.mark.parametrize(
    ("claim", "is_right"),
    [
        ("acme", True),
        (["other", "acme"], True),
        ({"acme": {}}, True),
        ("other", False),
        ("ACME", False),
        ("acme2", False),
        ([], False),
        (True, False),
        (None, False),
    ],
)
async def test_a_login_for_an_organization_is_proven_by_the_claim(
    op: ScriptedOp, clock: ManualClock, claim: object, is_right: bool
) -> None:
    """The parameter is a wish that a user can change on the way; the ID token is the proof."""
    keys = f"""issuer = "{op.issuer}"
organization = {{ parameter = "organization", claim = "org_id" }}"""
    async with visiting(op, clock, keys) as visitor:
        op.id_token_changes = {"org_id": claim}
        reply = await visitor.come_back(await visitor.start("org=acme"))
        assert code_of(reply) == ("" if is_right else "organization_mismatch")
        assert (reply.status == 302) == is_right
        _, sent = sent_to_op(await visitor.get("/bff/login?org=acme"))
        assert sent["organization"] == "acme"
        _, sent = sent_to_op(await visitor.get("/bff/login?organization=acme"))
        assert "organization" not in sent


@pytest.mark.rule("AZ-19")
async def test_no_organization_is_asked_for_where_the_provider_has_none(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """The login would be for whichever one the user is in, and nothing would prove it."""
    async with visiting(op, clock, f'issuer = "{op.issuer}"') as visitor:
        assert (await visitor.get("/bff/login?org=acme")).status == 400


@pytest.mark.rule("AZ-19")
@pytest.mark.parametrize(
    ("query", "claim", "status"),
    [
        ("org=acme", "other", 401),
        ("org=acme", [], 401),
        ("org=acme", ["other", "acme"], 200),
        ("org=acme", None, 200),
        ("", "other", 200),
    ],
)
async def test_a_refresh_cannot_lead_to_another_organization(
    op: ScriptedOp, clock: ManualClock, query: str, claim: object, status: int
) -> None:
    """A refreshed ID token may leave the claim out (OIDC Core section 12.2), but not contradict."""
    keys = f"""issuer = "{op.issuer}"
organization = {{ parameter = "organization", claim = "org_id" }}"""
    async with visiting(op, clock, keys) as visitor:
        op.id_token_changes = {"org_id": "acme"}
        op.token_changes = {"expires_in": 60}
        assert (await visitor.come_back(await visitor.start(query))).status == 302
        op.id_token_changes = {"org_id": claim}
        clock.advance(61)
        assert (await visitor.get("/api/x")).status == status


@pytest.mark.rule("AZ-19")
@pytest.mark.parametrize(
    ("answer", "claim", "told"),
    [
        ({}, "other", ""),
        ({}, "acme", "organization_mismatch"),
        ({"error": "interaction_required"}, "other", "interaction_required"),
    ],
)
async def test_a_browser_changes_to_another_organization_where_it_is(
    op: ScriptedOp, clock: ManualClock, answer: dict[str, str], claim: str, told: str
) -> None:
    """By a silent login, back to the same page. Where that fails the session is what it was."""
    keys = f"""issuer = "{op.issuer}"
organization = {{ parameter = "organization", claim = "org_id" }}"""
    async with visiting(op, clock, keys) as visitor:
        op.id_token_changes = {"org_id": "acme"}
        await visitor.come_back(await visitor.start("org=acme"))
        before = visitor.cookies["__Host-Http-bff"]
        state = await visitor.start("org=other&prompt=none&returnUrl=/here")
        op.id_token_changes = {"org_id": claim}
        reply = await visitor.come_back(state, **answer)
        assert reply.status == 302, reply
        query = f"?bff_error={told}" if told else ""
        assert location_of(reply) == f"/here{query}"
        assert (visitor.cookies["__Host-Http-bff"] == before) is bool(told)
        assert (await visitor.get("/bff/user")).status == 200
        visitor.cookies["__Host-Http-bff"] = before
        assert (await visitor.get("/bff/user")).status == (200 if told else 401)


@pytest.mark.rule("AZ-09")
@pytest.mark.rule("AZ-19")
async def test_a_login_that_is_begun_again_asks_for_the_same(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """The OP's page was left open for too long; what the app asked for is not forgotten."""
    keys = f"""issuer = "{op.issuer}"
login_params = ["kc_idp_hint"]
organization = {{ parameter = "organization", claim = "org_id" }}"""
    asked = "org=acme&kc_idp_hint=a%26b&acr_values=gold+silver&max_age=0&prompt=login&returnUrl=/x"
    async with visiting(op, clock, keys) as visitor:
        _, sent = sent_to_op(await visitor.get(f"/bff/login?{asked}"))
        answer = "error=temporarily_unavailable&error_description=authentication_expired"
        page = await visitor.get(f"/bff/callback?{answer}&state={sent['state']}", *NAVIGATION)
        assert page.status == 400
        [link] = re.findall(r'href="([^"]*)"', page.body.decode())
        _, again = sent_to_op(await visitor.get(unescape(link), *NAVIGATION))
        own = {"state", "nonce", "code_challenge"}
        assert {name for name in sent if sent[name] != again.get(name)} == own
        op.nonce = again["nonce"]
        op.id_token_changes = {"org_id": "other", "acr": "gold", "auth_time": int(clock.now())}
        assert code_of(await visitor.come_back(again["state"])) == "organization_mismatch"


async def test_an_audience_may_fit_a_pattern(op: ScriptedOp, clock: ManualClock) -> None:
    keys = f'issuer = "{op.issuer}"\naudience_pattern = "*@acme"'
    async with visiting(op, clock, keys) as visitor:
        for audience, is_trusted in (("1@acme", True), ("1@acme2", False), ("acme", False)):
            op.id_token_changes = {"aud": [CLIENT_ID, audience], "azp": CLIENT_ID}
            assert ((await visitor.log_in()).status == 302) == is_trusted
    assert refused(f'issuer = "{ELSEWHERE}"\naudience_pattern = "**"') == ["oidc.audience_pattern"]
