"""The figures that a process adds to plain numbers while it runs."""

from tests.wire.users import a_gateway_for_users

ANSWERS = {"kind": "refused", "status": "404", "code": "not_found", "frontend": "none"}


async def test_the_last_figures_are_handed_over_when_a_gateway_closes() -> None:
    """They are read after it, from what it leaves to other workers."""
    async with a_gateway_for_users(1) as users:
        metrics = users.gateway._metrics
        metrics.answered("refused", 404, "not_found", frontend="")
        assert metrics.registry.get_sample_value("bff_answers_total", ANSWERS) is None
    assert metrics.registry.get_sample_value("bff_answers_total", ANSWERS) == 1
