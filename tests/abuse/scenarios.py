"""All of them, in the order of the table."""

from tests.abuse import asking, connections, inputs, logins

SCENARIOS = [
    *connections.SCENARIOS,
    *asking.SCENARIOS,
    *logins.SCENARIOS,
    *inputs.SCENARIOS,
]
