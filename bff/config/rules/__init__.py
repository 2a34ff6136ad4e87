"""What must hold between keys. One rule a function, which yields the faults it finds: a chapter for
each kind of table, whose rules `rulebook` has once it is imported.
"""

from collections.abc import Iterator

from bff.config.problems import Fault
from bff.config.rules import gateway, providers, routes, secrets  # noqa: F401
from bff.config.rules.rulebook import RULES
from bff.config.rules.secrets import guessable_secrets, is_for_this_machine
from bff.config.settings import Settings


def broken_rules(settings: Settings) -> Iterator[Fault]:
    """The faults of every rule that can be judged. `settings` may lack keys that are not valid."""
    for one in RULES:
        yield from one.faults(settings)
    if not is_for_this_machine(settings):
        yield from guessable_secrets(settings)
