"""What may go wrong with `bff register`: each is told in words that say what to do, leaves no file
behind, and, as far as the OP lets the client be deleted, nothing at the OP."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.clock import SystemClock
from tests.flows.registering import FILES, Place, registered
from tests.flows.test_cli import FAILED, VALID
from tests.parts.configuration import Ports
from tests.parts.scripted_op import Answer, Received, ScriptedOp
from tests.parts.servers import free_port

WORDS = "Nothing of the kind. Ask \x1b[31m the administrator."


class AtScriptedOp(Place):
    """With what the OP was asked."""

    op: ScriptedOp

    def answer(self, **changes: object) -> Mapping[str, object]:
        return registered(self.issuer, self, **changes)

    def script(self, register: Answer, manage: Answer | None = None) -> None:
        """How it answers at its registration endpoint, and about a client that exists."""

        def about(received: Received) -> Answer:
            return register if received.path == "/register" else manage or Answer(status=204)

        self.op.answers["other"] = about

    def asked(self) -> list[tuple[str, str]]:
        received = [one for one in self.op.received if one.endpoint == "other"]
        return [(one.method, one.path) for one in received]


@asynccontextmanager
async def scripted(folder: Path) -> AsyncIterator[AtScriptedOp]:
    op = await ScriptedOp(SystemClock()).start()
    op.metadata_changes = {"registration_endpoint": f"{op.issuer}/register"}
    place = AtScriptedOp(folder, Ports(free_port(), free_port(), 0, free_port()), op.issuer)
    place.op = op
    try:
        yield place
    finally:
        await op.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[AtScriptedOp]:
    async with scripted(tmp_path) as found:
        yield found


async def refused(place: AtScriptedOp, *options: str) -> str:
    """What a registration says that fails and leaves no file."""
    result = await place.register(*options)
    assert (result.code, result.err) == (FAILED, ""), result.out
    assert place.written() == set()
    assert result.out.isprintable() or "\x1b" not in result.out
    return result.out


# --- the OP makes no client


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (None, "has no registration_endpoint. Register the client there by hand; --dry-run"),
        ("http://op.example.com/register", "registration_endpoint is no https URL"),
        (7, "registration_endpoint is no https URL"),
    ],
)
async def test_an_op_that_registers_no_clients(
    place: AtScriptedOp, endpoint: object, text: str
) -> None:
    place.op.metadata_changes = {"registration_endpoint": endpoint}
    assert text in await refused(place)
    assert place.asked() == []


@pytest.mark.rule("OP-09")
async def test_an_op_whose_metadata_is_that_of_another(place: AtScriptedOp) -> None:
    """The initial access token is for that OP alone (Discovery section 4.3)."""
    place.op.metadata_changes["issuer"] = "https://another.example.com"
    assert "the OP's metadata can't be had" in await refused(place)
    assert place.asked() == []


@pytest.mark.parametrize(
    ("status", "document", "text"),
    [
        (401, {}, "does not accept the initial access token (401)"),
        (403, {"error": "access_denied"}, "does not accept the initial access token (403, 'acc"),
        (403, {"error": "insufficient_scope"}, "With --no-scope it is asked for none"),
        (400, {"error": "invalid_redirect_uri"}, "does not accept the redirect URI ['http://local"),
        (400, {"error": "invalid_client_metadata"}, "--dry-run shows it"),
        (400, {"error": "invalid_software_statement"}, "the software statement (400"),
        (400, {"error": "unapproved_software_statement"}, "the software statement (400"),
        (400, {"error": "something_else"}, "answers with status 400 (400, 'something_else')"),
        (400, [], "answers with status 400"),
        (404, {}, "answers with status 404"),
    ],
)
async def test_an_op_that_refuses(
    place: AtScriptedOp, status: int, document: object, text: str
) -> None:
    """RFC 7591 section 3.2.2: what it says, and where to change it."""
    place.script(Answer(document, status))
    assert text in await refused(place)


async def test_the_words_of_the_op_are_shown_without_secrets_or_control_characters(
    place: AtScriptedOp,
) -> None:
    """An operator needs them; the terminal and the log of a pipeline must survive them."""
    (place.folder / "initial.statement").write_text("e30.statement-of-a-publisher.x")

    def repeats(received: Received) -> Answer:
        said = received.headers["Authorization"] + json.loads(received.body)["software_statement"]
        answer = {"error": "invalid_client_metadata", "error_description": WORDS + said}
        return Answer(answer, 400)

    place.op.answers["other"] = repeats
    out = await refused(place, "--software-statement-file", str(place.folder / "initial.statement"))
    assert "Ask \\x1b[31m the administrator.Bearer ******" in out
    assert "statement-of-a-publisher" not in out


@pytest.mark.rule("OP-09")
async def test_a_redirect_is_not_followed(place: AtScriptedOp) -> None:
    """The token would go along (RFC 7591 section 3: the endpoint is the one of the metadata)."""
    location = {"Location": f"{place.issuer}/elsewhere?secret=x"}
    place.script(Answer(status=307, headers=location))
    out = await refused(place)
    assert f"leads on to '{place.issuer}/elsewhere', which is not followed" in out
    assert place.asked() == [("POST", "/register")]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=503),
        Answer(status=429),
        Answer(drop=True),
        Answer(b"{", 201, truncate=True),
        Answer(b" " * 1_048_577, 201),
    ],
)
async def test_an_answer_that_does_not_come(place: AtScriptedOp, answer: Answer) -> None:
    """The OP may have made the client, and that is said."""
    place.script(answer)
    assert "Look there, and delete it before you try again" in await refused(place)


async def test_without_a_token_none_is_sent(place: AtScriptedOp) -> None:
    """RFC 7591 section 3: an OP may be open to all. Neither is there a statement of a publisher."""
    place.script(Answer(place.answer(), 201))
    result = await place.run("--issuer", place.issuer)
    assert result.code == VALID, result.out
    sent = place.op.last("other")
    assert "Authorization" not in sent.headers
    assert "software_statement" not in json.loads(sent.body)
    assert sent.headers["Content-Type"] == "application/json"


async def test_the_metadata_may_lie_elsewhere(place: AtScriptedOp) -> None:
    """As at every login; the issuer itself may have none."""
    place.op.answers["discovery"] = Answer(status=404)
    made = Answer(place.answer(), 201)

    def about(received: Received) -> Answer:
        return Answer(place.op.metadata()) if received.path == "/elsewhere" else made

    place.op.metadata_changes = {"registration_endpoint": f"{place.issuer}/register"}
    place.op.answers["other"] = about
    config = place.folder / "bff.toml"
    there = f'\n[oidc]\ndiscovery_url = "{place.issuer}/elsewhere"\n'
    config.write_text(f"{config.read_text()}{there}")
    assert (await place.register()).code == VALID
    assert place.asked() == [("GET", "/elsewhere"), ("POST", "/register")]


@pytest.mark.parametrize("status", [200, 201])
async def test_either_status_of_success_is_taken(place: AtScriptedOp, status: int) -> None:
    """RFC 7591 section 3.2.1 has 201; some OPs answer with 200."""
    place.script(Answer(place.answer(), status))
    assert (await place.register()).code == VALID


# --- the OP makes another client than was asked for


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"client_id": None}, "has no client_id"),
        ({"client_id": 7}, "has no usable client_id"),
        ({"client_id": "a b"}, "has no usable client_id"),
        ({"client_id": "x" * 4097}, "has no usable client_id"),
        ({"client_secret": "two\nlines-of-a-secret"}, "has no usable client_secret"),
        ({"client_secret_expires_at": "soon"}, "has no usable client_secret_expires_at"),
        ({"client_secret_expires_at": -1}, "has no usable client_secret_expires_at"),
        ({"registration_client_uri": "http://op.example.com/"}, "is no https URL"),
        ({"registration_access_token": ["x"]}, "has no usable registration_access_token"),
    ],
)
async def test_an_answer_that_is_garbage(
    place: AtScriptedOp, changes: dict[str, object], text: str
) -> None:
    """RFC 7591 section 3.2.1."""
    place.script(Answer(place.answer(**changes), 201))
    out = await refused(place)
    assert text in out
    assert "look there for the client" in out


@pytest.mark.parametrize("body", [b"", b"made", b"[]", b'{"client_id": "a", "client_id": "b"}'])
async def test_an_answer_that_is_no_object(place: AtScriptedOp, body: bytes) -> None:
    place.script(Answer(body, 201))
    assert "is no JSON object" in await refused(place)


UNUSABLE = [
    ({"redirect_uris": ["https://evil.example/"]}, "redirect_uris: ['http://localhost"),
    ({"token_endpoint_auth_method": "none"}, "'none' is registered"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "'private_key_jwt' is registered"),
    ({"response_types": ["id_token"]}, "response_types"),
    ({"grant_types": ["client_credentials"]}, "grant_types"),
    ({"scope": "profile email"}, "scope: the OP has left out ['openid']"),
    ({"id_token_signed_response_alg": "HS256"}, "'HS256' is registered"),
    ({"client_secret": None}, "the gateway needs one"),
    ({"client_secret": "short"}, "must have at least 16 bytes"),
]


@pytest.mark.rule("OP-09")
@pytest.mark.parametrize(("changes", "text"), UNUSABLE)
async def test_a_client_that_the_gateway_cannot_use_is_deleted_again(
    place: AtScriptedOp, changes: dict[str, object], text: str
) -> None:
    """RFC 7591 section 3.2.1: it is for the client to find out whether it can live with it."""
    place.script(Answer(place.answer(**changes), 201))
    out = await refused(place, "--accept-changes")
    assert text in out
    assert "the client has been deleted there again" in out
    assert place.asked() == [("POST", "/register"), ("DELETE", "/register/made-by-the-op")]


@pytest.mark.rule("OP-09")
async def test_one_redirect_uri_too_many_is_as_bad_as_none(place: AtScriptedOp) -> None:
    """RFC 9700 section 2.1: codes could be sent there."""
    uris = [place.redirect_uri, "https://evil.example/"]
    place.script(Answer(place.answer(redirect_uris=uris), 201))
    assert "deleted there again" in await refused(place, "--accept-changes")


@pytest.mark.parametrize(
    "management", [{"registration_access_token": None}, {"registration_client_uri": None}]
)
async def test_a_client_that_cannot_be_deleted_is_named(
    place: AtScriptedOp, management: dict[str, object]
) -> None:
    place.script(Answer(place.answer(response_types=["id_token"], **management), 201))
    assert "it still has the client made-by-the-op: delete it there" in await refused(place)


async def test_a_client_whose_deletion_fails_is_named(place: AtScriptedOp) -> None:
    place.script(Answer(place.answer(client_secret="short"), 201), Answer(status=403))
    assert "it still has the client made-by-the-op: delete it there" in await refused(place)


CHANGED = [
    ({"token_endpoint_auth_method": "client_secret_post"}, 'client_auth = "client_secret_post"'),
    ({"scope": "openid email x"}, 'scope = "openid email"'),
    ({"id_token_signed_response_alg": "ES256"}, 'id_token_algs = ["ES256"]'),
    ({"grant_types": ["authorization_code"]}, ""),
    ({"backchannel_logout_uri": "https://elsewhere.example/"}, ""),
    ({"post_logout_redirect_uris": ["https://elsewhere.example/"]}, ""),
]


@pytest.mark.parametrize(("changes", "key"), CHANGED)
async def test_a_change_that_can_be_lived_with_needs_an_agreement(
    place: AtScriptedOp, changes: dict[str, object], key: str
) -> None:
    """Then the keys are those of the client that there is."""
    (member,) = changes
    place.script(Answer(place.answer(**changes), 201))
    out = await refused(place)
    assert f"{member}: " in out
    assert "--accept-changes" in out
    assert "deleted there again" in out
    accepted = await place.register("--accept-changes")
    assert accepted.code == VALID
    assert f"{member}: " in accepted.out
    assert place.written() == FILES
    assert key in place.text("oidc.toml")


async def test_what_the_op_does_not_do_is_told_and_no_obstacle(place: AtScriptedOp) -> None:
    """RFC 7591 section 2: it leaves out what it does not know."""
    left_out = ("backchannel_logout_uri", "post_logout_redirect_uris", "scope", "grant_types")
    absent = dict.fromkeys((*left_out, "redirect_uris", "response_types"))
    place.script(Answer(place.answer(**absent), 201))
    result = await place.register()
    assert result.code == VALID
    for member in left_out:
        assert f"{member}: the OP does not" in result.out


async def test_a_client_without_management_leaves_no_record(place: AtScriptedOp) -> None:
    """RFC 7592 is the OP's to offer."""
    place.script(Answer(place.answer(registration_access_token=None), 201))
    result = await place.register()
    assert result.code == VALID
    assert "change and delete it there" in result.out
    assert place.written() == FILES - {"registration.json"}
    assert "nothing was registered from here, or" in (await place.run("--read")).out


async def test_a_secret_that_expires_is_told(place: AtScriptedOp) -> None:
    place.script(Answer(place.answer(client_secret_expires_at=1_900_000_000), 201))
    assert "the client secret expires at 2030-03-17 17:46Z" in (await place.register()).out


async def test_a_secret_is_not_said_to_expire_where_the_op_does_not_say_so(
    place: AtScriptedOp,
) -> None:
    """RFC 7591 section 3.2.1 wants the member where there is a secret; some OPs leave it out."""
    place.script(Answer(place.answer(client_secret_expires_at=None), 201))
    result = await place.register()
    assert result.code == VALID
    assert "expires" not in result.out


# --- later


@pytest.mark.rule("OP-09")
async def test_what_a_read_replaces_is_stored(place: AtScriptedOp) -> None:
    """RFC 7592 section 3: an OP may give a new token or secret with each answer."""
    fresh = {
        "registration_access_token": "another-one-for-the-client",
        "client_secret": "another-secret-of-the-client",
    }
    place.script(Answer(place.answer(), 201), Answer(place.answer(**fresh)))
    await place.register()
    assert (await place.run("--read")).code == VALID
    assert place.record()["registration_access_token"] == "another-one-for-the-client"
    assert place.text("client_secret") == "another-secret-of-the-client\n"
    assert (place.mode("client_secret"), place.mode("registration.json")) == (0o600, 0o600)


async def test_a_read_and_a_deletion_send_nothing_but_the_token(place: AtScriptedOp) -> None:
    """RFC 7592 sections 2.1 and 2.3 have requests without a body; some OPs refuse any other."""
    place.script(Answer(place.answer(), 201), Answer(place.answer()))
    await place.register()
    for option, method in (("--read", "GET"), ("--delete", "DELETE")):
        assert (await place.run(option)).code == VALID
        sent = place.op.last("other")
        assert (sent.method, sent.body, "Content-Type" in sent.headers) == (method, "", False)
        assert sent.headers["Authorization"] == "Bearer for-the-client-itself"


async def test_an_update_sends_the_whole_client(place: AtScriptedOp) -> None:
    """RFC 7592 section 2.2: with its identifier and secret, without what the OP alone sets."""
    place.script(Answer(place.answer(), 201), Answer(place.answer()))
    await place.register()
    assert (await place.run("--update")).code == VALID
    sent = json.loads(place.op.last("other").body)
    assert sent["client_id"] == "made-by-the-op"
    assert sent["client_secret"] == "given-to-the-client-once"
    assert sent["redirect_uris"] == [place.redirect_uri]
    issued = {name for name in sent if name.startswith(("registration_", "client_secret_e"))}
    assert issued == set()
    assert place.op.last("other").headers["Authorization"] == "Bearer for-the-client-itself"


async def test_a_refused_update_shows_no_secret_that_the_op_repeats(place: AtScriptedOp) -> None:
    """It was sent one. Whether it is shown is looked at by `Place.run`."""
    place.script(Answer(place.answer(), 201))
    await place.register()
    secret, token = place.text("client_secret").strip(), place.record()["registration_access_token"]
    said = {"error": "invalid_client_metadata", "error_description": f"not {secret} {token}"}
    place.script(Answer(status=500), Answer(said, 400))
    result = await place.run("--update")
    assert (result.code, "not *** ***" in result.out) == (FAILED, True), result.out


async def test_an_update_that_the_op_changed_fails_and_keeps_the_new_token(
    place: AtScriptedOp,
) -> None:
    """The old token may be good for nothing by then."""
    changed = place.answer(redirect_uris=["https://x.example/"], registration_access_token="new-1")
    place.script(Answer(place.answer(), 201), Answer(changed))
    await place.register()
    result = await place.run("--update")
    assert result.code == FAILED
    assert "something else than was asked for" in result.out
    assert place.record()["registration_access_token"] == "new-1"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "does not know this registration any more"),
        (404, "does not know this registration any more"),
        (403, "does not let the client do this itself"),
        (405, "does not let the client do this itself"),
        (400, "does not accept what the client is to be"),
        (302, "which is not followed"),
        (500, "status 500"),
    ],
)
async def test_management_that_is_refused(place: AtScriptedOp, status: int, text: str) -> None:
    """RFC 7592 sections 2.1 to 2.3. The files stay."""
    place.script(Answer(place.answer(), 201), Answer(status=status))
    await place.register()
    for option in ("--read", "--update", "--delete"):
        result = await place.run(option)
        assert (result.code, text in result.out) == (FAILED, True), result.out
    assert place.written() == FILES


@pytest.mark.parametrize("status", [200, 204])
async def test_either_status_of_a_deletion_is_taken(place: AtScriptedOp, status: int) -> None:
    """RFC 7592 section 2.3 has 204; some OPs answer with 200."""
    place.script(Answer(place.answer(), 201), Answer(status=status))
    await place.register()
    assert (await place.run("--delete")).code == VALID
    assert place.written() == set()


async def test_nothing_but_a_deletion_has_an_answer_without_a_document(place: AtScriptedOp) -> None:
    """RFC 7592 sections 2.1 and 2.2: 200, with the client as it is now."""
    place.script(Answer(place.answer(), 201), Answer(status=204))
    await place.register()
    for option in ("--read", "--update"):
        result = await place.run(option)
        assert (result.code, "answers with status 204" in result.out) == (FAILED, True), result.out


async def test_the_token_for_the_client_is_not_sent_without_tls(place: AtScriptedOp) -> None:
    """Whatever the record of the registration says."""
    place.script(Answer(place.answer(), 201))
    await place.register()
    record = place.record() | {"registration_client_uri": "http://op.example.com/register/a"}
    (place.folder / "registration.json").write_text(json.dumps(record))
    for option in ("--read", "--update", "--delete"):
        result = await place.run(option)
        assert result.code == FAILED
        assert "registration_client_uri is no https URL" in result.out
    assert place.asked() == [("POST", "/register")]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"issuer": 1}'])
async def test_a_record_that_is_none(place: AtScriptedOp, text: str) -> None:
    (place.folder / "registration.json").write_text(text)
    result = await place.invoke("--read")
    assert result.code == FAILED
    assert "is no record of a registration" in result.out
