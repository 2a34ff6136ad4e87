"""The upstreams of a route: the target of a request, how many may be under way, and which of them
share connections."""

import ssl

import pytest

from bff.errors import UpstreamBusy
from bff.gate.routes import Route, Upstream
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.pool import UpstreamPool
from bff.proxy.upstream.targets import RouteTargets, UpstreamTarget, route_targets

TLS = ssl.create_default_context()
ONE, OTHER = Upstream("http", "one.test:9000"), Upstream("https", "other.test", "/v1")


def targets(route: Route) -> RouteTargets:
    return RouteTargets(route, TLS, WriteCoalescer())


@pytest.mark.parametrize(
    ("base", "rest", "target"),
    [
        ("", b"/x?y", b"/x?y"),
        ("", b"", b"/"),
        ("", b"?y", b"/?y"),
        ("", b"x", b"/x"),
        ("/v1", b"/x?y", b"/v1/x?y"),
        ("/v1", b"", b"/v1"),
        ("/v1", b"?y", b"/v1/?y"),
        ("/v1", b"x", b"/v1/x"),
    ],
)
def test_the_target_of_a_request_begins_with_a_slash(base: str, rest: bytes, target: bytes) -> None:
    """RFC 9112 section 3.2.1, whatever is left of the path that a route cuts off."""
    upstream = Upstream("http", "api.test", base)
    pool = UpstreamPool(upstream, Route("/a", (upstream,)), TLS, WriteCoalescer())
    assert UpstreamTarget(upstream, pool).path(rest) == target


def test_a_host_is_the_upstreams_or_the_one_that_a_development_server_knows() -> None:
    for dev_host, host in ((None, b"one.test:9000"), ("localhost:5173", b"localhost:5173")):
        found = targets(Route("/a", (ONE,), dev_host=dev_host)).pick()
        assert found is not None
        assert found.host == host


@pytest.mark.parametrize("upstreams", [(ONE,), (ONE, OTHER)])
def test_a_route_has_so_many_requests_under_way(upstreams: tuple[Upstream, ...]) -> None:
    found = targets(Route("/a", upstreams, max_concurrent=2))
    for _ in range(2):  # what was given back can be taken again
        first, second = found.pick(), found.pick()
        with pytest.raises(UpstreamBusy):
            found.pick()
        for taken in (first, second):
            assert taken is not None
            found.release(taken)


def test_a_limit_of_zero_is_none() -> None:
    found = targets(Route("/a", (ONE,)))
    assert all(found.pick() is not None for _ in range(1000))


@pytest.mark.parametrize("upstreams", [(ONE,), (ONE, OTHER)])
def test_when_all_were_tried_there_is_none_left(upstreams: tuple[Upstream, ...]) -> None:
    found = targets(Route("/a", upstreams, max_concurrent=1))
    tried: list[UpstreamTarget] = []
    while (target := found.pick(tried)) is not None:
        tried.append(target)
        found.release(target)
    assert {one.host.decode() for one in tried} == {one.authority for one in upstreams}
    assert len(tried) == len(upstreams)
    assert found.pick() is not None, "nothing is under way"


def test_equal_routes_of_several_applications_are_one() -> None:
    """So are their limit and what is known of their upstreams; a route that differs is another."""
    same, different = Route("/a", (ONE,)), Route("/a", (ONE,), max_concurrent=1)
    found = route_targets(
        {"x": [same, Route("/b", (OTHER,))], "y": [same], "z": [different]}, WriteCoalescer()
    )
    assert {name: set(own) for name, own in found.items()} == {
        "x": {"/a", "/b"}, "y": {"/a"}, "z": {"/a"},
    }  # fmt: skip
    assert found["x"]["/a"] is found["y"]["/a"]
    assert found["x"]["/a"] is not found["z"]["/a"]
