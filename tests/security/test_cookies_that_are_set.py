"""Every cookie that any answer sets, by an OP that hands out large tokens: what it is called, what
it holds, and how it is deleted; and that no answer can be split."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tests.parts.scripted_op import Answer
from tests.security.kept_connection import Reply
from tests.security.scripted_installation import (
    BINDER,
    SESSION,
    ScriptedInstallation,
    scripted_installation,
)

SECRETS = ("a" * 100, "r" * 100, "alice", "eyJ", "example.test")


@pytest.fixture
async def installation() -> AsyncIterator[ScriptedInstallation]:
    async with scripted_installation() as running:
        running.op.token_changes.update(access_token="a" * 16_384, refresh_token="r" * 16_384)
        yield running


async def a_whole_life(installation: ScriptedInstallation) -> list[Reply]:
    """Answers of every kind: logins that work and that don't, calls, an end, a logout."""
    visitor, op, clock = installation.visitor, installation.op, installation.clock
    replies = []

    async def get(target: str, *lines: str) -> Reply:
        replies.append(await visitor.get(target, *lines))
        return replies[-1]

    for target in ("/", "/bff/user", "/api/x", "/bff/resume", "/bff/callback", "/bff/logout"):
        await get(target)
    for error in ("access_denied", "server_error", "x"):
        state = await visitor.start()
        await get(f"/bff/callback?state={state}&error={error}")
    replies.append(await visitor.come_back("made-up"))
    for _ in range(2):
        replies += [await get("/bff/login?prompt=login"), await visitor.log_in()]
        for target in ("/", "/bff/user", "/api/x", "/bff/sessions", "/bff/logout?sid=x"):
            await get(target)
    del visitor.cookies[BINDER]
    op.answers["token"] = Answer({"error": "invalid_grant"}, status=400)
    clock.advance(61)
    await get("/api/x")  # the session is over
    op.answers.clear()
    replies.append(await visitor.log_in())
    user = await get("/bff/user")
    sid = re.search(rb"sid=([\w-]+)", user.body)
    assert sid is not None
    await get(f"/bff/logout?sid={sid[1].decode()}")
    return replies


def read(cookie: bytes) -> tuple[str, str, list[str]]:
    """Name, value, and the attributes in lower case."""
    pair, *attributes = cookie.decode().split("; ")
    name, _, value = pair.partition("=")
    return name, value, sorted(one.lower() for one in attributes)


@pytest.mark.rule("CK-01")
@pytest.mark.rule("CK-02")
@pytest.mark.rule("CK-03")
@pytest.mark.rule("CK-04")
@pytest.mark.rule("CK-06")
@pytest.mark.rule("CK-08")
async def test_every_cookie_of_every_answer_has_all_its_attributes(
    installation: ScriptedInstallation,
) -> None:
    """On https; a deletion has those the cookie was set with."""
    replies = await a_whole_life(installation)
    found = [read(cookie) for reply in replies for cookie in reply.values(b"set-cookie")]
    usual = ["httponly", "path=/", "secure"]
    session = sorted([*usual, "samesite=strict"])
    assert {name for name, _, _ in found} == {SESSION, BINDER}
    kinds = {(name, value == "", tuple(attributes)) for name, value, attributes in found}
    assert kinds == {
        (SESSION, False, tuple(session)),
        (SESSION, True, tuple(sorted([*session, "max-age=0"]))),
        (BINDER, False, tuple(sorted([*usual, "samesite=lax", "max-age=600"]))),
    }


@pytest.mark.rule("CK-07")
async def test_no_cookie_grows_with_the_tokens_or_tells_of_them(
    installation: ScriptedInstallation,
) -> None:
    """With access and refresh tokens of 16 KB each."""
    replies = await a_whole_life(installation)
    cookies = [cookie.decode() for reply in replies for cookie in reply.values(b"set-cookie")]
    assert len(cookies) >= 10
    assert max(map(len, cookies)) < 300
    assert [cookie for cookie in cookies if any(secret in cookie for secret in SECRETS)] == []


PARAMETERS = ("returnUrl", "prompt", "login_hint", "acr_values", "max_age", "ui_locales")
SPLITTERS = (
    "\r\nX-Split: 1",
    "\nX-Split: 1",
    "\rX-Split: 1",
    "\r\n\r\n<split>",
    "\u560d\u560aX-Split: 1",
)


@pytest.mark.rule("SM-08")
@pytest.mark.parametrize("splitter", SPLITTERS, ids=range(len(SPLITTERS)))
async def test_no_input_splits_an_answer_or_a_request(
    installation: ScriptedInstallation, splitter: str
) -> None:
    """Of a browser, in any parameter or path; of the OP, in a claim or an error."""
    visitor, op = installation.visitor, installation.op
    text = quote(f"/x{splitter}", safe="/")
    state = await visitor.start()
    op.id_token_changes = {"name": f"x{splitter}", "email": splitter, "acr": "a"}
    replies = [await visitor.log_in()]
    targets = [f"/bff/login?{name}={text}" for name in PARAMETERS]
    targets += [f"/bff/callback?{query}" for query in (f"state={text}&code=c", text)]
    targets += [f"/bff/callback?state={state}&error=x&error_description={text}&error_uri={text}"]
    targets += [text, f"/api{text}", f"/api/x?{text}", f"/bff/logout?sid={text}", "/bff/user"]
    for target in targets:
        replies += [await visitor.get(target)]
    for reply in replies:
        assert b"x-split" not in [name for name, _ in reply.fields]
        is_json = any(b"json" in value for value in reply.values(b"content-type"))
        assert is_json or b"split" not in reply.body
    for sent in installation.upstream.received:
        assert not any(line.lower().startswith(b"x-split") for line in sent.lines)
