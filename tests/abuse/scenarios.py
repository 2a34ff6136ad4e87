"""All of them, in the order of the table."""

from tests.abuse import connections

SCENARIOS = [*connections.SCENARIOS]
