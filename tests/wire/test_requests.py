"""What browsers send, row by row of `requests.toml`: what is answered, and what an upstream sees.

RFC 9112 sections 2 to 9; RFC 9110 sections 7.6.1, 9.3, 10.1.1 and 15.5.
"""

from pathlib import Path

import pytest

from tests.wire.fronts import an_nginx, the_gateway
from tests.wire.loops import ON_UVLOOP
from tests.wire.vectors import request_vectors

VECTORS = request_vectors()


@pytest.mark.rule("PX-07")
@pytest.mark.rule("SM-01")
@pytest.mark.rule("SM-02")
@pytest.mark.rule("SM-03")
@pytest.mark.rule("SM-04")
@pytest.mark.rule("SM-05")
@pytest.mark.rule("SM-06")
@pytest.mark.rule("SM-10")
async def test_requests_are_treated_as_the_table_says() -> None:
    found = {}
    async with the_gateway() as gateway:
        for vector in VECTORS:
            outcome = await gateway.outcome(vector)
            found[vector.name] = outcome.differs_from(gateway.expected(vector))
    assert {name: how for name, how in found.items() if how} == {}


@ON_UVLOOP
async def test_nginx_differs_where_the_table_says_and_nowhere_else(tmp_path: Path) -> None:
    """An explanation that no longer holds, or is none, fails here."""
    found = {}
    async with an_nginx(tmp_path) as nginx:
        for vector in VECTORS:
            outcome = await nginx.outcome(vector)
            found[vector.name] = outcome.differs_from(nginx.expected(vector, by_nginx=True))
            if vector.nginx:
                assert vector.nginx["why"]
                assert outcome.differs_from(nginx.expected(vector)), f"{vector.name}: the same now"
    assert {name: how for name, how in found.items() if how} == {}


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS)
