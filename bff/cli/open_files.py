"""How many files this process may have open: as many as the system allows, not as it suggests.

Many systems suggest 1024 (the soft limit), which a few hundred idle connections use up; nothing is
left then for the store and the APIs, whatever `server.max_connections` says.
"""

import contextlib
import resource

import structlog

# The browser's, and the API's or the two ends of a socket pair.
PER_CONNECTION = 3
BESIDES = 1024  # the store, the OP, listeners, administrators, refusals on their way

log = structlog.get_logger("bff.cli")


def allow_open_files() -> None:
    """Raise the limit to what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def warn_of_few_open_files(max_connections: int) -> None:
    """Log it when the limit is too low for so many connections."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections * PER_CONNECTION + BESIDES
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        log.warning("few_open_files", allowed=allowed, wanted=wanted)
