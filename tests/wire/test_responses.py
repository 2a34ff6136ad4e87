"""What upstreams answer, row by row of `responses.toml`: what the browser gets of it.

After each row another request is sent, and must get its own answer: an upstream's surplus, garbage
or silence is never another request's. RFC 9112 sections 4 to 9; RFC 9110 sections 7.6.1 and 15.2.
"""

from pathlib import Path

import pytest

from tests.wire.fronts import an_nginx, the_gateway
from tests.wire.loops import ON_UVLOOP
from tests.wire.vectors import Outcome, response_vectors

VECTORS = response_vectors()


@pytest.mark.rule("PX-07")
@pytest.mark.rule("PX-14")
@pytest.mark.rule("PX-16")
@pytest.mark.rule("SM-07")
async def test_responses_are_treated_as_the_table_says() -> None:
    found = {}
    async with the_gateway() as gateway:
        for vector in VECTORS:
            outcome = await gateway.answered(vector)
            found[vector.name] = outcome.differs_from(Outcome.expected(vector))
    assert {name: how for name, how in found.items() if how} == {}


@ON_UVLOOP
async def test_nginx_differs_where_the_table_says_and_nowhere_else(tmp_path: Path) -> None:
    """An explanation that no longer holds, or is none, fails here."""
    found = {}
    async with an_nginx(tmp_path) as nginx:
        for vector in VECTORS:
            outcome = await nginx.answered(vector)
            found[vector.name] = outcome.differs_from(Outcome.expected(vector, by_nginx=True))
            if vector.nginx:
                assert vector.nginx["why"]
                assert outcome.differs_from(Outcome.expected(vector)), f"{vector.name}: no more"
    assert {name: how for name, how in found.items() if how} == {}
