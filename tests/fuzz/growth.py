"""How the work for a case grows with its size. Input of four times the size may cost four times as
much, not sixteen times: what grows faster lets one message keep the gateway busy.

Function calls are counted, which is the same on every machine; the long form takes the time as
well, to see what happens within one call.
"""

import gc
import sys
import time
from collections.abc import Callable
from types import FrameType

from tests.fuzz.running import judged
from tests.fuzz.target import Target

SMALL_BYTES = 2_000
TIMES = 4
SPARE_CALLS = 200
LARGE_BYTES = 16_000
MOST_STEEP = 3 * TIMES  # measured: a busy machine makes much of nothing
LEAST_SECONDS = 0.005


def too_many_calls(target: Target) -> list[str]:
    """The kinds of cases for which more is done than their size explains."""
    wrong = []
    for kind, make in target.families().items():
        small, large = (_calls(target, make(size)) for size in (SMALL_BYTES, TIMES * SMALL_BYTES))
        if large > TIMES * small + SPARE_CALLS:
            wrong.append(f"{kind}: {small} calls, then {large}")
    return wrong


def too_much_time(target: Target) -> list[str]:
    """The same by the clock of this process."""
    wrong = []
    for kind, make in target.families().items():
        small, large = (_seconds(target, make(size)) for size in (LARGE_BYTES, TIMES * LARGE_BYTES))
        if large > LEAST_SECONDS and large > MOST_STEEP * small:
            wrong.append(f"{kind}: {small:.4f} s, then {large:.4f} s")
    return wrong


def _calls(target: Target, case: bytes) -> int:
    judged(target, case)  # what is done only once is no part of it
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before: Callable[..., object] | None = sys.getprofile()
    gc.disable()  # what other tests have left behind may have finalizers, and they are calls, too
    sys.setprofile(counted)
    try:
        judged(target, case)
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def _seconds(target: Target, case: bytes) -> float:
    taken = []
    for _ in range(3):
        began = time.process_time()
        judged(target, case)
        taken.append(time.process_time() - began)
    return min(taken)
