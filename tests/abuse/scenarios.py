"""All of them, in the order of the table."""

from tests.abuse import asking, connections, inputs, logins, op_side, streams, upstream_side

SCENARIOS = [
    *connections.SCENARIOS,
    *asking.SCENARIOS,
    *logins.SCENARIOS,
    *inputs.SCENARIOS,
    *op_side.SCENARIOS,
    *upstream_side.SCENARIOS,
    *streams.SCENARIOS,
]
