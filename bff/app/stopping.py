"""Which signal does what to a process of the gateway, and how it is told to stop.

By default nearly every signal ends a process at once, with requests cut off. So each that an
operator, a terminal or a log rotation may send has a handler here.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import structlog

log = structlog.get_logger("bff.app")

# HUP is a terminal that was closed, QUIT its Ctrl-\\, and how some orchestrators stop a container.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
IGNORED_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)


class StopRequest:
    """`stop` is set by the first signal or call, `hurry` by the second: wait for nothing that time
    alone decides."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def __call__(self) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()

    async def wait_at_most(self, seconds: float) -> None:
        """For `hurry`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.wait()

    @contextlib.contextmanager
    def by_signals(self) -> Iterator[None]:
        """Handle signals until the block ends. One that was ignored when the process was started,
        as `nohup` has it with HUP, stays so."""
        loop = asyncio.get_running_loop()
        heard = [one for one in STOP_SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, self)
        for number in IGNORED_SIGNALS:
            loop.add_signal_handler(number, _ignore, number)
        try:
            yield
        finally:
            for number in (*heard, *IGNORED_SIGNALS):
                loop.remove_signal_handler(number)


def _ignore(number: signal.Signals) -> None:
    log.warning("signal_ignored", signal=number.name)
