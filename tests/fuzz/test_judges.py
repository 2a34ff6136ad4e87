"""Proof that every target can say no: each broken subject is found."""

import pytest

from tests.fuzz.broken_inbound import (
    ForgetsTheMask,
    asks_for_anything,
    asks_urllib,
    counts_hosts,
    counts_keys_only,
    decodes_first,
    ignores_case,
    is_lenient_with_escapes,
    keeps_what_is_printable,
    looks_for_dots_only,
    minds_no_underscores,
    passes_every_field,
    strips_quotes,
    takes_the_first,
    takes_the_last_description,
    trusts_any_peer,
    wants_a_slash,
    wants_no_header,
    writes_data_as_it_is,
)
from tests.fuzz.broken_outbound import (
    believes_without_signature,
    does_not_mind_a_nonce,
    forgets_the_old_token,
    gives_up_early,
    is_patient,
    keeps_the_document,
    lets_the_last_win,
    looks_for_words,
    opens_anywhere,
    overlooks,
    passes_every_cookie,
    takes_an_access_token,
    tells_what_it_read,
    trusts_everybody,
    verifies_no_signature,
    waits_as_told,
    wants_https_only,
)
from tests.fuzz.everything import all_targets
from tests.fuzz.running import fuzz
from tests.fuzz.target import Target
from tests.fuzz.targets import id_token
from tests.fuzz.targets.answer import AnswerTarget
from tests.fuzz.targets.callback import CallbackTarget
from tests.fuzz.targets.client import ClientTarget
from tests.fuzz.targets.cookie import CookieTarget
from tests.fuzz.targets.events import EventsTarget
from tests.fuzz.targets.forward_auth import ForwardAuthTarget
from tests.fuzz.targets.head import HeadTarget
from tests.fuzz.targets.id_token import IdTokenTarget
from tests.fuzz.targets.key_set import KeySetTarget
from tests.fuzz.targets.login import LoginTarget
from tests.fuzz.targets.logout_token import LogoutTokenTarget
from tests.fuzz.targets.metadata import MetadataTarget
from tests.fuzz.targets.path import PathTarget
from tests.fuzz.targets.retry_after import RetryAfterTarget
from tests.fuzz.targets.return_url import ReturnUrlTarget
from tests.fuzz.targets.sealed import SealedTarget
from tests.fuzz.targets.token_answer import TokenAnswerTarget
from tests.fuzz.targets.toml_lines import TomlTarget
from tests.fuzz.targets.websocket import WebSocketTarget

CASES = 4000

BROKEN: list[Target] = [
    PathTarget(decodes_first),
    PathTarget(looks_for_dots_only),
    PathTarget(is_lenient_with_escapes),
    ClientTarget(counts_hosts),
    ClientTarget(agent=keeps_what_is_printable),
    CookieTarget(takes_the_first),
    CookieTarget(ignores_case),
    CookieTarget(strips_quotes),
    HeadTarget(passes_every_field),
    HeadTarget(minds_no_underscores),
    HeadTarget(trusts_any_peer),
    HeadTarget(wants_no_header),
    ForwardAuthTarget(takes_the_last_description),
    WebSocketTarget(ForgetsTheMask),
    AnswerTarget(passes_every_cookie),
    AnswerTarget(looks_for_words),
    ReturnUrlTarget(wants_a_slash),
    ReturnUrlTarget(asks_urllib),
    LoginTarget(asks_for_anything),
    CallbackTarget(lets_the_last_win),
    EventsTarget(writes_data_as_it_is),
    MetadataTarget(wants_https_only),
    KeySetTarget(keeps_the_document),
    TokenAnswerTarget(gives_up_early),
    TokenAnswerTarget(forgets_the_old_token),
    TokenAnswerTarget(tells_what_it_read),
    IdTokenTarget(verifies_no_signature),
    IdTokenTarget(is_patient),
    IdTokenTarget(trusts_everybody),
    *(
        IdTokenTarget(overlooks(claim, id_token.CLAIMS[claim]))
        for claim in ("iss", "aud", "nonce", "exp", "iat", "sub")
    ),
    LogoutTokenTarget(takes_an_access_token),
    LogoutTokenTarget(believes_without_signature),
    LogoutTokenTarget(does_not_mind_a_nonce),
    RetryAfterTarget(waits_as_told),
    SealedTarget(opens_anywhere),
    TomlTarget(counts_keys_only),
]


@pytest.mark.parametrize(
    "target", BROKEN, ids=[f"{target.name}-{number}" for number, target in enumerate(BROKEN)]
)
def test_a_broken_subject_is_found(target: Target) -> None:
    """And by the rule that is broken, not by a crash."""
    row = fuzz(target, 0, CASES, enough=1)
    assert row.findings, "the judge is asleep"
    assert "escapes" not in row.kept[0].what


def test_every_target_has_a_broken_subject() -> None:
    assert {target.name for target in BROKEN} == all_targets().keys()
