"""The event loops that the tests of the wire run on: that of `bff serve`, and asyncio's own."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

# For what takes seconds, or tries no code of ours: production runs on uvloop only.
ON_UVLOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
