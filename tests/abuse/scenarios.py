"""All of them, in the order of the table."""

from tests.abuse import asking, connections, inputs, logins, op_side

SCENARIOS = [
    *connections.SCENARIOS,
    *asking.SCENARIOS,
    *logins.SCENARIOS,
    *inputs.SCENARIOS,
    *op_side.SCENARIOS,
]
