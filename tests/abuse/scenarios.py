"""All of them, in the order of the table."""

from tests.abuse import asking, connections

SCENARIOS = [*connections.SCENARIOS, *asking.SCENARIOS]
