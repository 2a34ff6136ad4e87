"""Settings of [oidc] arrive at the relying party that the gateway builds from them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.app import relying_parties
from bff.clock import ManualClock
from bff.errors import IdTokenInvalid, OpError
from bff.observability.metrics import Metrics
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import begin
from tests.parts.configuration import Ports, gateway_toml, settings_from
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, Answer, ScriptedOp

OTHER = "https://api.example.test"


@asynccontextmanager
async def configured(
    op: ScriptedOp, clock: ManualClock, oidc: str, metrics: Metrics | None = None
) -> AsyncIterator[RelyingParty]:
    ports = Ports(8080, 9090, urlsplit(op.issuer).port or 0, 9000)
    environ = {"BFF_OIDC__CLIENT_ID": CLIENT_ID, "BFF_OIDC__CLIENT_SECRET": CLIENT_SECRET}
    settings = settings_from(gateway_toml(ports, oidc=oidc), environ)
    rp = relying_parties(settings, clock, metrics or Metrics()).default
    await rp.start()
    try:
        yield rp
    finally:
        await rp.close()


async def test_an_audience_beside_ours_is_accepted_when_it_is_trusted(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """OIDC Core section 3.1.3.7 (3): the list is empty unless the operator fills it."""
    op.id_token_changes = {"aud": [CLIENT_ID, OTHER], "azp": CLIENT_ID}
    async with configured(op, clock, f'trusted_audiences = ["{OTHER}"]') as rp:
        assert (await rp.redeem("code", await begin(rp, op))).sub == op.sub
    async with configured(op, clock, "") as rp:
        with pytest.raises(IdTokenInvalid, match="aud_untrusted"):
            await rp.redeem("code", await begin(rp, op))


async def test_clocks_may_differ_by_as_much_as_the_operator_allows(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """OIDC Core section 3.1.3.7 (9)."""
    op.id_token_changes = {"exp": int(clock.now()) - 39}
    async with configured(op, clock, 'leeway = "40s"') as rp:
        assert (await rp.redeem("code", await begin(rp, op))).sub == op.sub
    async with configured(op, clock, 'leeway = "38s"') as rp:
        with pytest.raises(IdTokenInvalid, match="exp"):
            await rp.redeem("code", await begin(rp, op))


async def test_parameters_of_the_logout_go_out_beside_our_own(
    op: ScriptedOp, clock: ManualClock
) -> None:
    """Some OPs want parameters of their own to log out, or to come back."""
    async with configured(op, clock, 'end_session_params = { logout_uri = "x y" }') as rp:
        sent = parse_qs(urlsplit(await rp.end_session_url(None, "st") or "").query)
    assert sent["logout_uri"] == ["x y"]
    assert sent["client_id"] == [CLIENT_ID]
    assert sent["state"] == ["st"]


async def test_each_request_to_the_op_is_counted_by_what_came_of_it(
    op: ScriptedOp, clock: ManualClock
) -> None:
    metrics = Metrics()
    refusals = {"op_unavailable": Answer(status=503), "op_answer_malformed": Answer(b"x" * 2**21)}

    def counted(outcome: str) -> float | None:
        labels = {"provider": "default", "endpoint": "discovery", "outcome": outcome}
        return metrics.registry.get_sample_value("bff_op_requests_total", labels)

    for outcome, answer in refusals.items():
        op.answers["discovery"] = answer
        async with configured(op, clock, "", metrics) as rp:
            with pytest.raises(OpError):
                await rp.check()
        assert counted(outcome) == 1
    del op.answers["discovery"]
    async with configured(op, clock, "", metrics) as rp:
        await rp.check()
    assert counted("answered") == 1
    timed = "bff_op_request_duration_seconds_count"
    assert metrics.registry.get_sample_value(timed, {"endpoint": "discovery"}) == 3
