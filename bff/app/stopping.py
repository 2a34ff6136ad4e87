"""The end of a process of the gateway: which signal does what, how it is told to stop, and how it
stops accepting connections without losing one.

By default nearly every signal ends a process at once, with requests cut off. So each that an
operator, a terminal or a log rotation may send has a handler here.

The kernel makes connections by itself and queues them until the process takes them. A listening
socket that is closed resets those in its queue, with requests that were sent on them already, and a
proxy in front does not send a POST again. So new connections are kept out of the queue first, then
the queue is emptied, and only then is the socket closed. A connection attempt that is kept out gets
no answer; the client's kernel repeats it after a second, and it is then refused.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence

import structlog

log = structlog.get_logger("bff.app")

# QUIT is a terminal's Ctrl-\\, and how some orchestrators stop a container.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
RESTART_SIGNAL = signal.SIGUSR2
RELOAD_SIGNAL = signal.SIGHUP  # from a terminal that was closed it stops the process
IGNORED_SIGNALS = (signal.SIGUSR1,)

# What remains to be done by a process that another has taken over from: connections end with their
# next answer, and those on which nothing is asked for so long are closed.
HANDED_OVER_SECONDS = 5.0

Handler = Callable[[int], object]


class StopRequest:
    """`stop` is set by the first signal or call, `hurry` by the second: from then on the process
    does not wait for `server.shutdown_delay` to pass. `restart` is set by `RESTART_SIGNAL`, and
    `reload` by `RELOAD_SIGNAL`, in a process that has one."""

    def __init__(self, reload: asyncio.Event | None = None) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.restart = asyncio.Event()
        self._reload = reload
        self._pass_on: Handler | None = None
        self._had_terminal = _has_terminal()

    def __call__(self) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()

    def pass_on(self, handler: Handler) -> None:
        """From now on signals are for the process that has taken over, even after the end of
        `by_signals`. One that stops it ends what is left to be done here as well."""
        self._pass_on = handler

    def _heard(self, number: signal.Signals) -> None:
        number = self._meant(number)
        if self._pass_on is not None:
            self._pass_on(number)
        if number not in (RESTART_SIGNAL, RELOAD_SIGNAL):
            self()
            if self._pass_on is not None:
                self.hurry.set()
        elif self._pass_on is None:
            self._note(number)

    def _note(self, number: signal.Signals) -> None:
        if number is RESTART_SIGNAL:
            self.restart.set()
        elif self._reload is not None:
            self._reload.set()
        else:
            _ignore(number)

    def _passed_on(self, number: int, _frame: object) -> None:
        if self._pass_on is not None:
            self._pass_on(self._meant(signal.Signals(number)))

    def _meant(self, number: signal.Signals) -> signal.Signals:
        """The kernel and shells send `RELOAD_SIGNAL` too, once the terminal is gone."""
        if number is RELOAD_SIGNAL and self._had_terminal and not _has_terminal():
            return signal.SIGTERM
        return number

    async def wait_at_most(self, seconds: float) -> None:
        """Until `hurry` is set."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.wait()

    @contextlib.contextmanager
    def by_signals(self) -> Iterator[None]:
        """Handle signals until the block ends. One that was ignored when the process was started,
        as `nohup` has it with HUP, stays so."""
        loop = asyncio.get_running_loop()
        may_be_ignored = (*STOP_SIGNALS, RELOAD_SIGNAL)
        heard = [one for one in may_be_ignored if signal.getsignal(one) is not signal.SIG_IGN]
        heard.append(RESTART_SIGNAL)
        for number in heard:
            loop.add_signal_handler(number, self._heard, number)
        for number in IGNORED_SIGNALS:
            loop.add_signal_handler(number, _ignore, number)
        try:
            yield
        finally:
            for number in (*heard, *IGNORED_SIGNALS):
                loop.remove_signal_handler(number)
                if self._pass_on is not None and number in heard:
                    signal.signal(number, self._passed_on)


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal (termios(3)) that was not closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def stopped_by(
    lifeline: socket.socket | None,
    request: StopRequest,
    received: Callable[[bytes], object] = bool,
) -> Iterator[None]:
    """Stop when the other end of `lifeline` is closed. `received` gets what comes from there."""
    if lifeline is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        data = b""
        try:
            data = lifeline.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            pass  # lost as well
        if data:
            received(data)
            return
        loop.remove_reader(lifeline)
        request()

    loop.add_reader(lifeline, readable)
    try:
        yield
    finally:
        loop.remove_reader(lifeline)


async def first_of(*events: asyncio.Event) -> asyncio.Event:
    """The first of the events that is set."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return next(event for event in events if event.is_set())


async def work_until(work: Coroutine[object, object, object], *events: asyncio.Event) -> None:
    """Do the work to its end, or until one of the events is set."""
    tasks = {asyncio.create_task(work), asyncio.create_task(first_of(*events))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _ignore(number: signal.Signals) -> None:
    log.warning("signal_ignored", signal=number.name)


# A classic BPF program over a segment's TCP header: one with SYN (bit 1 of byte 13, RFC 9293
# section 3.1) is dropped, every other one passes, so that handshakes under way are finished.
_PROGRAM = (
    (0x30, 0, 0, 13),  # load byte 13
    (0x45, 0, 1, 0x02),  # if SYN is set, the next instruction, else the one after it
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)
_INSTRUCTION = struct.Struct("HBBI")
SO_ATTACH_FILTER = 26  # of Linux; the socket module does not name it

EMPTY_SECONDS = 0.02  # handshakes end within it, so a queue that was empty for it stays empty
MOST_SECONDS = 2.0  # for a queue to become empty


async def stop_accepting(servers: Sequence[asyncio.Server], *, outlives: bool = False) -> None:
    """Close the servers' sockets, without losing a connection that was made before.

    `outlives`: other processes listen with the same sockets, and take what is in their queues.
    The name of a Unix socket is removed by its owner: `Listening.remove_name`.
    """
    if outlives:
        for server in servers:
            server.close()
        return
    listening = [_duplicate(sock.fileno()) for server in servers for sock in server.sockets]
    try:
        for sock in listening:
            _keep_new_ones_out(sock)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOST_SECONDS):
                await asyncio.sleep(EMPTY_SECONDS)
                while any(map(_has_queued, listening)):  # noqa: ASYNC110 - the kernel's queue
                    await asyncio.sleep(EMPTY_SECONDS)
    finally:
        for server in servers:
            server.close()
        for sock in listening:
            _end_for_all_descriptors(sock)
            sock.close()


def _duplicate(descriptor: int) -> socket.socket:
    # uvloop's own objects for sockets know neither of the calls that are needed here.
    return socket.fromfd(descriptor, -1, -1)


def _keep_new_ones_out(sock: socket.socket) -> None:
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):  # without it new connections come in until the end
        code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in _PROGRAM))
        program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _end_for_all_descriptors(sock: socket.socket) -> None:
    """The process may hold another descriptor, for a process that would have taken over; clients
    would wait for an answer of it. To a Unix socket the name has led, which is gone."""
    if sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _has_queued(sock: socket.socket) -> bool:
    queue = select.poll()
    queue.register(sock, select.POLLIN)
    return bool(queue.poll(0))
