"""An OP that answers far too much, in every document it has."""

import asyncio
import zlib
from collections.abc import Sequence
from functools import cache

from bff.oidc.provider.http import GZIP
from tests.abuse.hostile_op import Endless
from tests.abuse.inputs import COLLIDING
from tests.abuse.measures import MIB, Course
from tests.abuse.scenario import Outcome, Scale, Scenario, at_most
from tests.abuse.site import REDIRECT, Site
from tests.parts.scripted_op import Answer
from tests.polling import until

KEYS = 100_000
KEY = b'{"kty":"RSA","e":"AQAB","n":"%b"}' % (b"x" * 75)
MIB_IN_BOMB = 900  # what is left of it, compressed, is just small enough to be read
OK = 200


def too_much() -> list[Answer]:
    """The worst first."""
    return [
        bomb(),
        Answer(
            b'{"keys":[' + b",".join([b'{"kty":"RSA","n":"' + b"x" * 75 + b'"}'] * KEYS) + b"]}"
        ),
        Endless(),
        Endless(piece=b" ", pause_seconds=0.02),
        Answer(b"[" * 1_000_000),
        Answer(b"{" + b",".join(b'"%b":0' % name.encode() for name in COLLIDING * 40) + b"}"),
        Answer({}, headers={f"X-{n}": "y" * 1_000 for n in range(5_000)}),
        Answer({}, headers={"X-Y": "y" * 5_000_000}),
    ]


@cache
def bomb() -> Answer:
    """Zeros, which gzip makes a thousandth of. What follows a full flush depends on nothing before
    it, so the same piece can be sent again and again."""
    deflater = zlib.compressobj(9, wbits=GZIP)
    begin, again = (
        deflater.compress(bytes(MIB)) + deflater.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return Answer(begin + again * MIB_IN_BOMB, headers={"Content-Encoding": "gzip"})


async def token_answers(site: Site, scale: Scale) -> Outcome:
    """To codes of users who come back, all at the same time."""
    answers = _chosen(scale, slice(4))
    outcome = Outcome(f"{len(answers)} kinds of a token answer without measure, all at once")
    begun = [await site.begin_login(site.port) for _ in answers]
    site.op.answers["token"] = list(answers)
    try:
        done = await asyncio.gather(*(site.finish_login(site.port, login) for login in begun))
    finally:
        del site.op.answers["token"]
    outcome.answers.update(str(status) for status, _ in done)
    outcome.require_only("503")
    outcome.require(not any(cookie for _, cookie in done), "a session came of it")
    return outcome


async def discovery_documents(site: Site, scale: Scale) -> Outcome:
    return await _met_by_newcomers(site, scale, "discovery", short=slice(1))


async def key_sets(site: Site, scale: Scale) -> Outcome:
    return await _met_by_newcomers(site, scale, "jwks", short=slice(1, 2))


async def _met_by_newcomers(site: Site, scale: Scale, document: str, short: slice) -> Outcome:
    """By a gateway for each, which serves the users that are logged in all the same."""
    answers = _chosen(scale, short)
    outcome = Outcome(f"{len(answers)} kinds of a {document} document without measure")
    courses = []
    for answer in answers:
        site.op.answers[document] = answer
        try:
            courses.append(await _met(site, document, outcome))
        finally:
            del site.op.answers[document]
    outcome.require_only("503")
    outcome.memory = max(courses, key=lambda course: course.grown)
    return outcome


async def _met(site: Site, document: str, outcome: Outcome) -> Course:
    """The memory of one newcomer, from before it asked the OP."""
    asked = site.op.count(document)
    async with site.newcomer() as (port, process):
        before = process.rss_bytes()
        await until(lambda: site.op.count(document) > asked)
        login, call = await asyncio.gather(_log_in(site, port), site.call_status(port))
        outcome.answers[str(login)] += 1
        outcome.require(call == OK, f"a user who was logged in got {call}")
        return Course(before, process.peak_bytes(), process.rss_bytes())


async def _log_in(site: Site, port: int) -> int:
    begun = await site.begin_login(port)
    if begun.status != REDIRECT:
        return begun.status
    status, _ = await site.finish_login(port, begun)
    return status


def _chosen(scale: Scale, short: slice) -> Sequence[Answer]:
    found = too_much()
    return found if scale.repeats > 1 else found[short]


SCENARIOS = [
    Scenario("token answers", token_answers, at_most(48)),
    Scenario("discovery documents", discovery_documents, at_most(32)),
    Scenario("key sets", key_sets, at_most(32)),
]
