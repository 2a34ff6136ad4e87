"""What of an upstream's answer reaches the browser."""

import pytest

from bff.proxy.upstream.responses import response_fields

Fields = list[tuple[bytes, bytes]]


def sent(
    upstream: Fields, *, used_session: bool = True, cookies: set[bytes] | None = None
) -> Fields:
    return response_fields(upstream, used_session=used_session, forward_cookies=cookies or set())


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


@pytest.mark.rule("PX-19")
@pytest.mark.parametrize(
    ("stated", "result"),
    [
        ([], [b"no-store"]),
        ([b"max-age=60"], [b"max-age=60", b"private"]),
        ([b"no-cache"], [b"no-cache", b"private"]),
        ([b"public, max-age=60"], [b"public, max-age=60"]),
        ([b"Private"], [b"Private"]),
        ([b"s-maxage=5"], [b"s-maxage=5"]),
        ([b"no-store"], [b"no-store"]),
        ([b"max-age=1", b"public"], [b"max-age=1", b"public"]),
        ([b'ext="public"'], [b'ext="public"', b"private"]),
        ([b'ext="a, public, b"'], [b'ext="a, public, b"', b"private"]),
        ([b'private="x"'], [b'private="x"']),
    ],
)
def test_what_a_session_opened_is_kept_out_of_shared_caches(
    stated: list[bytes], result: list[bytes]
) -> None:
    upstream = [(b"Cache-Control", value) for value in stated]
    assert values(sent(upstream), b"cache-control") == result
    assert values(sent(upstream, used_session=False), b"cache-control") == stated


@pytest.mark.rule("PX-19")
def test_a_rule_for_caches_that_is_for_one_hop_only_counts_as_none() -> None:
    upstream = [(b"Connection", b"Cache-Control"), (b"Cache-Control", b"private")]
    assert values(sent(upstream), b"cache-control") == [b"no-store"]


@pytest.mark.rule("PX-19")
@pytest.mark.parametrize(
    "name",
    [
        b"CDN-Cache-Control",
        b"cloudflare-cdn-cache-control",
        b"Surrogate-Control",
        b"Edge-Control",
        b"X-Accel-Expires",
    ],
)
def test_a_rule_for_some_caches_passes_only_beside_one_for_all_of_them(name: bytes) -> None:
    """RFC 9213: a CDN obeys it instead of the `no-store` that we add."""
    rule = (name, b"max-age=600")
    for stated, passes in ((b"public", True), (b"s-maxage=5", True), (b"private", False)):
        assert (rule in sent([(b"Cache-Control", stated), rule])) is passes
    assert rule not in sent([rule])
    assert rule in sent([rule], used_session=False)


@pytest.mark.parametrize("own", [[], [(b"x-accel-buffering", b"yes")]])
def test_an_event_stream_is_not_held_back_by_a_proxy_in_front(own: Fields) -> None:
    """An answer of the API's own to that question stays as it is."""
    stream = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8"), *own]
    expected = [value for _, value in own] or [b"no"]
    assert values(sent(stream), b"x-accel-buffering") == expected
    named = [(b"Connection", b"X-Accel-Buffering"), *stream]
    assert values(sent(named), b"x-accel-buffering") == [b"no"]
    page = [(b"Content-Type", b"text/html"), *own]
    assert values(sent(page), b"x-accel-buffering") == [value for _, value in own]


@pytest.mark.rule("PX-12")
@pytest.mark.parametrize(
    "name",
    [b"Clear-Site-Data", b"NEL", b"Report-To", b"Strict-Transport-Security", b"Alt-Svc"],
)
def test_no_api_speaks_for_the_whole_origin(name: bytes) -> None:
    """`Clear-Site-Data: "cookies"` would take the session cookie from the jar."""
    kept = sent([(name, b'"cookies"'), (name.lower(), b'"*"'), (b"ETag", b"1")])
    assert values(kept, name.lower()) == []
    assert values(kept, b"etag") == [b"1"]


@pytest.mark.rule("PX-12")
def test_upstream_cookies_are_dropped_unless_listed() -> None:
    upstream = [
        (b"Set-Cookie", b"locale=de; Path=/"),
        (b"Set-Cookie", b"__Host-Http-bff=evil; Path=/; Secure"),
        (b"set-cookie", b" locale =x"),
        (b"Set-Cookie", b"other"),
    ]
    assert values(sent(upstream), b"set-cookie") == []
    listed = values(sent(upstream, cookies={b"locale"}), b"set-cookie")
    assert listed == [b"locale=de; Path=/", b" locale =x"]


@pytest.mark.rule("CS-02")
def test_cors_fields_of_the_upstream_never_pass() -> None:
    upstream = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-allow-credentials", b"true"),
    ]
    assert not [name for name, _ in sent(upstream) if name.lower().startswith(b"access-control")]


@pytest.mark.rule("PX-07")
@pytest.mark.rule("HD-04")
def test_hop_by_hop_fields_and_banners_are_dropped() -> None:
    upstream = [
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Server", b"nginx/1.2"),
        (b"X-Powered-By", b"PHP"),
        (b"ETag", b'"x"'),
        (b"Content-Encoding", b"br"),
    ]
    names = {name.lower() for name, _ in sent(upstream)}
    assert {b"etag", b"content-encoding"} <= names
    assert not names & {
        b"connection", b"x-hop", b"keep-alive", b"transfer-encoding", b"server", b"x-powered-by",
    }  # fmt: skip


@pytest.mark.rule("PX-18")
def test_only_token_challenges_pass() -> None:
    upstream = [
        (b"WWW-Authenticate", b'Bearer error="invalid_token"'),
        (b"WWW-Authenticate", b"Basic realm=x"),
        (b"WWW-Authenticate", b"Negotiate"),
    ]
    assert values(sent(upstream), b"www-authenticate") == [b'Bearer error="invalid_token"']


@pytest.mark.rule("CS-09")
def test_answers_can_not_be_read_as_scripts_or_images_by_others() -> None:
    fields = sent([])
    assert values(fields, b"x-content-type-options") == [b"nosniff"]
    assert values(fields, b"cross-origin-resource-policy") == [b"same-origin"]
