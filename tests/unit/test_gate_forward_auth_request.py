"""The request that a proxy asks about: said in one way, or refused."""

import pytest

from bff.errors import BadRequest
from bff.gate.head import Field
from bff.gate.peers import forward_auth_request

CADDY: list[Field] = [(b"X-Forwarded-Method", b"PUT"), (b"X-Forwarded-Uri", b"/api/x?y=%2f")]
NGINX: list[Field] = [(b"x-original-method", b"PUT"), (b"X-Original-URI", b"/api/x?y=%2f")]


@pytest.mark.parametrize("fields", [CADDY, NGINX, CADDY + NGINX], ids=["caddy", "nginx", "both"])
def test_method_and_target_are_those_described(fields: list[Field]) -> None:
    """As they are, for the gate to read; the fields come along."""
    sent = [(b"Host", b"app.example"), *fields]
    head = forward_auth_request(sent, "192.0.2.1")
    assert (head.method, head.target, head.peer) == ("PUT", b"/api/x?y=%2f", "192.0.2.1")
    assert head.fields == sent


@pytest.mark.rule("PX-21")
@pytest.mark.parametrize(
    "fields",
    [
        [],
        CADDY[:1],
        CADDY[1:],
        [*CADDY, (b"X-Original-URI", b"/api/public")],
        [*NGINX, (b"X-Forwarded-Uri", b"/api/public")],
        [*CADDY, (b"x-forwarded-uri", b"/api/public")],
        [*CADDY, (b"X-Original-Method", b"GET")],
        [*NGINX, (b"X-Forwarded-Method", b"put")],
        [*NGINX, (b"X-Forwarded-Method", b"")],
        [CADDY[0], (b"X-Forwarded-Uri", b"")],
        [(b"X_Forwarded_Method", b"GET"), (b"X_Forwarded_Uri", b"/api/x")],
        [*CADDY[:1], (b"X-Original-URL", b"/api/x")],
    ],
)
def test_what_is_missing_or_said_in_two_ways_is_refused(fields: list[Field]) -> None:
    """Whichever of them said it: a browser's own fields come along with the proxy's."""
    with pytest.raises(BadRequest):
        forward_auth_request(fields, None)
